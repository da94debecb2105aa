#include "identity/namespace_table.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "model/json.h"

namespace cofferdam::identity::namespace_table {
namespace {

namespace json = boost::json;

constexpr auto kColumns =
    "id, slug, name, description, type, status, is_default, metadata, tags, max_workspaces, max_vcpus, max_ram_mb, "
    "max_disk_gb, created_at, updated_at, last_active_at";

std::optional<std::uint64_t> limit_of(const store::Row& row, std::size_t column) {
  const auto limit = row.find_integer(column);
  return limit ? std::optional(static_cast<std::uint64_t>(*limit)) : std::nullopt;
}

store::Value value_of(const std::optional<std::uint64_t>& limit) {
  return limit ? store::Value(static_cast<std::int64_t>(*limit)) : store::Value();
}

Result<Namespace> namespace_of(const store::Row& row) {
  Namespace space;
  space.id = row.text(0);
  space.slug = row.text(1);
  space.name = row.text(2);
  space.description = row.text(3);
  TRY_ASSIGN(space.type, parse_namespace_type(row.text(4)));
  TRY_ASSIGN(space.status, parse_namespace_status(row.text(5)));
  space.is_default = row.integer(6) != 0;
  TRY_ASSIGN(const json::value metadata, model::parse_json(row.text(7)));
  TRY_ASSIGN(const json::value tags, model::parse_json(row.text(8)));
  if (!metadata.is_object() || !tags.is_array())
    return fail(Code::DataLoss, cat("the row of ", space.id, " is broken"));
  space.metadata = metadata.get_object();
  for (const auto& tag : tags.get_array()) space.tags.emplace_back(tag.as_string());
  space.limits = {limit_of(row, 9), limit_of(row, 10), limit_of(row, 11), limit_of(row, 12)};
  space.created_at = from_unix_ms(row.integer(13));
  space.updated_at = from_unix_ms(row.integer(14));
  if (const auto active = row.find_integer(15)) space.last_active_at = from_unix_ms(*active);
  return space;
}

store::Values values_of(const Namespace& space) {
  const auto active = space.last_active_at ? std::optional(to_unix_ms(*space.last_active_at)) : std::nullopt;
  return {space.id,
          space.slug,
          space.name,
          space.description,
          std::string(type_name(space.type)),
          std::string(status_name(space.status)),
          std::int64_t{space.is_default ? 1 : 0},
          json::serialize(space.metadata),
          json::serialize(json::array(space.tags.begin(), space.tags.end())),
          value_of(space.limits.max_workspaces),
          value_of(space.limits.max_vcpus),
          value_of(space.limits.max_ram_mb),
          value_of(space.limits.max_disk_gb),
          to_unix_ms(space.created_at),
          to_unix_ms(space.updated_at),
          store::nullable(active)};
}

// What LIKE takes as a pattern, so that it means itself.
std::string pattern_of(std::string_view search) {
  std::string pattern = "%";
  for (const char c : search) {
    if (c == '%' || c == '_' || c == '\\') pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern + "%";
}

// A constant for each way, since an order cannot be bound.
const char* order_of(const NamespaceQuery& query) {
  const bool up = query.order == NamespaceQuery::Order::ascending;
  switch (query.sort_by) {
    case NamespaceQuery::SortBy::updated_at:
      return up ? "updated_at ASC, id ASC" : "updated_at DESC, id DESC";
    case NamespaceQuery::SortBy::name:
      return up ? "lower(name) ASC, id ASC" : "lower(name) DESC, id DESC";
    case NamespaceQuery::SortBy::created_at:
      break;
  }
  return up ? "created_at ASC, id ASC" : "created_at DESC, id DESC";
}

}  // namespace

Result<Namespace> find(store::Connection& c, const std::string& id_or_slug) {
  // A slug has no '_', so that it is never an id.
  TRY_ASSIGN(const auto rows,
             c.query(cat("SELECT ", kColumns, " FROM namespaces WHERE id = $1 OR slug = $1"), {id_or_slug}));
  if (rows.empty()) return fail(Code::NotFound, cat("there is no namespace '", id_or_slug.substr(0, 64), "'"));
  return namespace_of(rows.front());
}

Result<Namespace> find_default(store::Connection& c) {
  TRY_ASSIGN(const auto rows, c.query(cat("SELECT ", kColumns, " FROM namespaces WHERE is_default = 1")));
  if (rows.empty()) return fail(Code::NotFound, "there is no default namespace");
  return namespace_of(rows.front());
}

Result<NamespacePage> list(store::Connection& c, const NamespaceQuery& query) {
  static constexpr auto kWhere =
      " FROM namespaces WHERE ($1 IS NULL OR id = $1) AND ($2 IS NULL OR status = $2) AND ($3 IS NULL OR type = $3) "
      "AND "
      "($4 IS NULL OR lower(name) LIKE lower($4) ESCAPE '\\' OR slug LIKE lower($4) ESCAPE '\\' "
      "OR lower(description) LIKE lower($4) ESCAPE '\\')";
  const auto text = [](std::string_view value) { return store::Value(std::string(value)); };
  store::Values values{query.only_id ? text(*query.only_id) : store::Value(),
                       query.status ? text(status_name(*query.status)) : store::Value(),
                       query.type ? text(type_name(*query.type)) : store::Value(),
                       query.search.empty() ? store::Value() : text(pattern_of(query.search))};
  NamespacePage page;
  TRY_ASSIGN(const auto count, c.query(cat("SELECT count(*)", kWhere), values));
  page.total = static_cast<std::uint64_t>(count.front().integer(0));
  values.emplace_back(static_cast<std::int64_t>(query.limit));
  values.emplace_back(static_cast<std::int64_t>(std::min<std::uint64_t>(query.offset, page.total)));
  TRY_ASSIGN(const auto rows,
             c.query(cat("SELECT ", kColumns, kWhere, " ORDER BY ", order_of(query), " LIMIT $5 OFFSET $6"), values));
  for (const auto& row : rows) {
    TRY_ASSIGN(auto space, namespace_of(row));
    page.items.push_back(std::move(space));
  }
  return page;
}

Status insert(store::Connection& c, const Namespace& space) {
  TRY(c.execute(cat("INSERT INTO namespaces (", kColumns,
                    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"),
                values_of(space)));
  return {};
}

Status update(store::Connection& c, const Namespace& space) {
  auto values = values_of(space);
  // What never changes is not among the values.
  values.erase(values.begin() + 13);
  values.erase(values.begin() + 1);
  TRY(
      c.execute("UPDATE namespaces SET name = $2, description = $3, type = $4, status = $5, is_default = $6, "
                "metadata = $7, tags = $8, max_workspaces = $9, max_vcpus = $10, max_ram_mb = $11, max_disk_gb = $12, "
                "updated_at = $13, last_active_at = $14 WHERE id = $1",
                values));
  return {};
}

Status remove(store::Connection& c, const std::string& id) {
  TRY(c.execute("DELETE FROM namespaces WHERE id = $1", {id}));
  return {};
}

Status clear_default(store::Connection& c) {
  TRY(c.execute("UPDATE namespaces SET is_default = 0 WHERE is_default = 1"));
  return {};
}

Result<bool> slug_is_taken(store::Connection& c, const std::string& slug) {
  TRY_ASSIGN(const auto rows, c.query("SELECT 1 FROM namespaces WHERE slug = $1", {slug}));
  return !rows.empty();
}

}  // namespace cofferdam::identity::namespace_table

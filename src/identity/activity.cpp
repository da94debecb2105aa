#include "identity/activity.h"

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "model/json.h"

namespace cofferdam::identity {
namespace {

constexpr std::size_t kMaxText = 512;

std::string cut(const std::string& text) { return text.substr(0, kMaxText); }

}  // namespace

Status append_activity(store::Connection& c, const Activity& entry) {
  TRY_ASSIGN(const auto last, c.query("SELECT coalesce(max(id), 0) FROM namespace_activity WHERE namespace_id = $1",
                                      {entry.namespace_id}));
  const std::int64_t id = last.front().integer(0) + 1;
  TRY(
      c.execute("INSERT INTO namespace_activity (namespace_id, id, action, description, changes, user_id, ip_address, "
                "user_agent, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                {entry.namespace_id, id, cut(entry.action), cut(entry.description),
                 boost::json::serialize(entry.changes), cut(entry.actor.user_id), cut(entry.actor.ip_address),
                 cut(entry.actor.user_agent), to_unix_ms(entry.created_at)}));
  TRY(c.execute("DELETE FROM namespace_activity WHERE namespace_id = $1 AND id <= $2",
                {entry.namespace_id, id - kActivityKept}));
  return {};
}

Result<ActivityPage> read_activity(store::Connection& c, const std::string& namespace_id, std::uint64_t limit,
                                   std::uint64_t offset) {
  TRY_ASSIGN(const auto count,
             c.query("SELECT count(*) FROM namespace_activity WHERE namespace_id = $1", {namespace_id}));
  TRY_ASSIGN(const auto rows,
             c.query("SELECT id, action, description, changes, user_id, ip_address, user_agent, created_at "
                     "FROM namespace_activity WHERE namespace_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3",
                     {namespace_id, static_cast<std::int64_t>(std::min<std::uint64_t>(limit, 1000)),
                      static_cast<std::int64_t>(std::min<std::uint64_t>(offset, kActivityKept))}));
  ActivityPage page;
  page.total = static_cast<std::uint64_t>(count.front().integer(0));
  for (const auto& row : rows) {
    TRY_ASSIGN(const auto changes, model::parse_json(row.text(3)));
    page.items.push_back({row.integer(0), namespace_id, row.text(1), row.text(2), changes.as_object(),
                          Actor{row.text(4), row.text(5), row.text(6)}, from_unix_ms(row.integer(7))});
  }
  return page;
}

}  // namespace cofferdam::identity

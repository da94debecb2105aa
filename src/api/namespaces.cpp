// Namespaces and what is in them.
#include <boost/json/serialize.hpp>

#include "api/credits.h"
#include "api/handlers.h"
#include "api/namespace_json.h"
#include "api/permission.h"
#include "api/usage_json.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Namespace;

constexpr int kCreated = 201;
constexpr int kConflict = 409;
constexpr std::uint64_t kMostOfAll = 1ULL << 40;
constexpr std::uint64_t kMaxPage = 1000;
constexpr std::uint64_t kMostDays = 400;
constexpr double kMillis = 1000.0;

json::object to_json(const identity::ResourceLimits& limits) {
  const auto or_null = [](const std::optional<std::uint64_t>& limit) {
    return limit ? json::value(*limit) : json::value();
  };
  return {{"max_workspaces", or_null(limits.max_workspaces)},
          {"max_vcpus", or_null(limits.max_vcpus)},
          {"max_ram_mb", or_null(limits.max_ram_mb)},
          {"max_disk_gb", or_null(limits.max_disk_gb)}};
}

json::object to_json(const Namespace& space, const std::string& client_id) {
  json::array tags;
  for (const auto& tag : space.tags) tags.emplace_back(to_utf8(tag));
  json::value limits;
  if (space.limits != identity::ResourceLimits{}) limits = to_json(space.limits);
  return {{"id", space.id},
          {"client_id", client_id},
          {"name", to_utf8(space.name)},
          {"slug", space.slug},
          {"description", to_utf8(space.description)},
          {"status", identity::status_name(space.status)},
          {"type", identity::type_name(space.type)},
          {"is_default", space.is_default},
          {"metadata", space.metadata},
          {"tags", std::move(tags)},
          {"resource_limits", std::move(limits)},
          {"created_at", format_rfc3339(space.created_at)},
          {"updated_at", format_rfc3339(space.updated_at)},
          {"last_active_at", time_or_null(space.last_active_at)}};
}

json::object to_json(const identity::Totals& totals) {
  return {{"workspaces", totals.workspaces},
          {"vcpus", static_cast<double>(totals.cpu_millis) / kMillis},
          {"ram_mb", totals.memory_mib},
          {"disk_gb", static_cast<double>(totals.disk_mib) / 1024.0}};
}

Task<http::Response> one(Services& services, Namespace space, int status = 200) {
  services.space_slugs[space.id] = space.slug;
  co_return answer({{"data", to_json(space, services.identity.administrator().client_id())}}, status);
}

Result<identity::NamespaceType> type_of(const std::string& name) {
  auto type = identity::parse_namespace_type(name);
  if (!type) return fail(std::move(type.error()).in("/type"));
  return type;
}

// A limit that is absent is left alone, and null takes it away.
using Limit = std::optional<std::optional<std::uint64_t>>;
Result<Limit> limit_field(const json::object& limits, std::string_view field) {
  if (!limits.contains(json::string_view(field.data(), field.size()))) return Limit{};
  TRY_ASSIGN(const auto number, get_whole(limits, "/resource_limits", field, 0, kMostOfAll));
  return Limit(number);
}

Result<identity::NamespaceChange> change_of(const json::object& body) {
  identity::NamespaceChange change;
  TRY_ASSIGN(change.name, model::get_string(body, "", "name"));
  TRY_ASSIGN(change.description, model::get_string(body, "", "description"));
  TRY_ASSIGN(const auto status, model::get_string(body, "", "status"));
  if (status) {
    auto parsed = identity::parse_namespace_status(*status);
    if (!parsed) return fail(std::move(parsed.error()).in("/status"));
    change.status = *parsed;
  }
  TRY_ASSIGN(const auto type, model::get_string(body, "", "type"));
  if (type) {
    TRY_ASSIGN(change.type, type_of(*type));
  }
  TRY_ASSIGN(change.metadata, get_object(body, "", "metadata"));
  TRY_ASSIGN(change.tags, get_texts(body, "", "tags"));
  TRY_ASSIGN(const auto limits, get_object(body, "", "resource_limits"));
  const auto* given = body.if_contains("resource_limits");
  if (given != nullptr && given->is_null()) {
    const Limit none(std::optional<std::uint64_t>{});
    change.max_workspaces = change.max_vcpus = change.max_ram_mb = change.max_disk_gb = none;
  }
  if (limits) {
    TRY_ASSIGN(change.max_workspaces, limit_field(*limits, "max_workspaces"));
    TRY_ASSIGN(change.max_vcpus, limit_field(*limits, "max_vcpus"));
    TRY_ASSIGN(change.max_ram_mb, limit_field(*limits, "max_ram_mb"));
    TRY_ASSIGN(change.max_disk_gb, limit_field(*limits, "max_disk_gb"));
  }
  return change;
}

Result<identity::NamespaceDraft> draft_of(const json::object& body) {
  TRY_ASSIGN(auto change, change_of(body));
  TRY_ASSIGN(const auto slug, model::get_string(body, "", "slug"));
  TRY_ASSIGN(const auto standard, model::get_flag(body, "", "isDefault"));
  identity::NamespaceDraft draft;
  draft.name = change.name.value_or("");
  draft.slug = slug.value_or("");
  draft.description = change.description.value_or("");
  draft.type = change.type.value_or(draft.type);
  draft.make_default = standard.value_or(false) ? identity::MakeDefault::yes : identity::MakeDefault::no;
  draft.metadata = change.metadata.value_or(json::object{});
  draft.tags = change.tags.value_or(std::vector<std::string>{});
  const auto limit = [](const Limit& given) { return given.value_or(std::optional<std::uint64_t>{}); };
  draft.limits = {limit(change.max_workspaces), limit(change.max_vcpus), limit(change.max_ram_mb),
                  limit(change.max_disk_gb)};
  return draft;
}

std::vector<workspace::Info> workspaces_in(const Services& services, const std::string& space_id) {
  std::vector<workspace::Info> found;
  for (auto& info : services.manager.list()) {
    if (info.spec.namespace_id == space_id) found.push_back(std::move(info));
  }
  return found;
}

void tell(Services& services, std::string event, const Namespace& space) {
  monitor::Notice notice;
  notice.event = std::move(event);
  notice.time = std::chrono::system_clock::now();
  notice.namespace_id = space.id;
  notice.namespace_slug = space.slug;
  services.webhooks.notify(std::move(notice));
}

// What an empty text leaves open: the first word that fits one of the choices.
Result<identity::NamespaceQuery> query_of(const Call& call) {
  using Query = identity::NamespaceQuery;
  Query query;
  TRY_ASSIGN(query.limit, query_whole(call, "limit", query.limit, 1, kMaxPage));
  TRY_ASSIGN(query.offset, query_whole(call, "offset", 0, 0, UINT32_MAX));
  TRY_ASSIGN(const auto status, query_text(call, "status"));
  TRY_ASSIGN(const auto type, query_text(call, "type"));
  TRY_ASSIGN(const auto search, query_text(call, "search"));
  TRY_ASSIGN(const auto sort, query_text(call, "sortBy"));
  TRY_ASSIGN(const auto order, query_text(call, "sortOrder"));
  if (status) {
    TRY_ASSIGN(query.status, identity::parse_namespace_status(*status));
  }
  if (type) {
    TRY_ASSIGN(query.type, identity::parse_namespace_type(*type));
  }
  query.search = search.value_or("");
  if (sort == "updated_at") query.sort_by = Query::SortBy::updated_at;
  if (sort == "name") query.sort_by = Query::SortBy::name;
  if (order == "ASC" || order == "asc") query.order = Query::Order::ascending;
  return query;
}

}  // namespace

json::object namespace_to_json(const Services& services, const Namespace& space) {
  return to_json(space, services.identity.administrator().client_id());
}

Task<json::object> namespace_page(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto query, query_of(call));
  const auto& scope = call.who().grant.scope;
  if (const auto* own = std::get_if<identity::OneNamespace>(&scope)) query.only_id = own->id;
  if (std::holds_alternative<identity::SomeWorkspaces>(scope)) query.only_id = "";
  CO_TRY_ASSIGN(const auto page, co_await services.identity.namespaces().list(query));
  json::array data;
  for (const auto& space : page.items) {
    services.space_slugs[space.id] = space.slug;
    data.emplace_back(to_json(space, services.identity.administrator().client_id()));
  }
  co_return json::object{{"data", std::move(data)},
                         {"pagination", {{"total", page.total}, {"limit", query.limit}, {"offset", query.offset}}}};
}

Task<http::Response> create_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY(required_text(body, "name"));
  CO_TRY_ASSIGN(auto draft, draft_of(body));
  CO_TRY_ASSIGN(auto space, co_await services.identity.namespaces().create(std::move(draft), call.caller->actor()));
  CO_TRY(co_await services.quotas.apply_defaults(space.id));
  co_return co_await one(services, std::move(space), kCreated);
}

Task<http::Response> ensure_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto draft, draft_of(body));
  CO_TRY_ASSIGN(auto ensured, co_await services.identity.namespaces().ensure(std::move(draft), call.caller->actor()));
  services.space_slugs[ensured.space.id] = ensured.space.slug;
  if (ensured.created) CO_TRY(co_await services.quotas.apply_defaults(ensured.space.id));
  co_return answer(
      {{"created", ensured.created}, {"data", to_json(ensured.space, services.identity.administrator().client_id())}},
      ensured.created ? kCreated : 200);
}

Task<http::Response> list_namespaces(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto page, co_await namespace_page(services, call));
  co_return answer(std::move(page));
}

Task<http::Response> get_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto space, co_await services.identity.namespaces().get(call.id()));
  co_return co_await one(services, std::move(space));
}

Task<http::Response> update_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto change, change_of(body));
  CO_TRY_ASSIGN(auto space,
                co_await services.identity.namespaces().update(call.id(), std::move(change), call.caller->actor()));
  co_return co_await one(services, std::move(space));
}

Task<http::Response> remove_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto with_workspaces, model::get_flag(body, "", "deleteWorkspaces"));
  CO_TRY_ASSIGN(const auto space, co_await services.identity.namespaces().get(call.id()));
  const auto inside = workspaces_in(services, call.id());
  if (!inside.empty() && !with_workspaces.value_or(false)) {
    co_return refusal(call, kConflict, "conflict",
                      cat("the namespace '", space.slug, "' still has ", inside.size(), " workspaces"),
                      "remove them first, or send {\"deleteWorkspaces\": true}");
  }
  if (space.is_default) {
    co_return refusal(call, kConflict, "failed_precondition", "the default namespace cannot be removed",
                      "make another one the default first");
  }
  for (const auto& info : inside) {
    auto removed = co_await services.manager.remove(info.id);
    if (!removed && removed.error().code != Code::NotFound) co_return fail(std::move(removed.error()));
  }
  CO_TRY(co_await services.identity.remove_namespace(call.id()));
  CO_TRY(co_await services.usage.forget_namespace(call.id()));
  CO_TRY(co_await services.quotas.forget_namespace(call.id()));
  services.space_slugs.erase(call.id());
  co_return answer({{"deleted", space.id}, {"deletedWorkspaces", inside.size()}});
}

Task<http::Response> suspend_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto space, co_await services.identity.namespaces().suspend(call.id(), call.caller->actor()));
  tell(services, "namespace.suspended", space);
  co_return co_await one(services, std::move(space));
}

Task<http::Response> activate_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto space, co_await services.identity.namespaces().activate(call.id(), call.caller->actor()));
  tell(services, "namespace.restored", space);
  co_return co_await one(services, std::move(space));
}

Task<http::Response> stop_namespace_workspaces(Services& services, Call& call) {
  json::array stopped, skipped, failed;
  for (const auto& info : workspaces_in(services, call.id())) {
    if (info.state == model::State::stopped) continue;
    auto done = co_await services.manager.stop(info.id);
    if (done) {
      stopped.emplace_back(info.id);
      continue;
    }
    // A temporary one would lose its disk: it ends by itself, or is removed.
    auto& list = done.error().code == Code::FailedPrecondition ? skipped : failed;
    list.emplace_back(json::object{{"id", info.id}, {"message", to_utf8(done.error().message)}});
  }
  const auto count = stopped.size();
  co_return answer({{"stopped", count},
                    {"workspaces", std::move(stopped)},
                    {"skipped", std::move(skipped)},
                    {"failed", std::move(failed)}});
}

Task<http::Response> get_namespace_activity(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", 50, 1, kMaxPage));
  CO_TRY_ASSIGN(const auto offset, query_whole(call, "offset", 0, 0, UINT32_MAX));
  CO_TRY_ASSIGN(const auto page, co_await services.identity.namespaces().activity(call.id(), limit, offset));
  json::array data;
  for (const auto& entry : page.items) {
    data.emplace_back(json::object{{"id", entry.id},
                                   {"namespace_id", entry.namespace_id},
                                   {"user_id", to_utf8(entry.actor.user_id)},
                                   {"action", entry.action},
                                   {"description", to_utf8(entry.description)},
                                   {"changes", entry.changes},
                                   {"ip_address", to_utf8(entry.actor.ip_address)},
                                   {"user_agent", to_utf8(entry.actor.user_agent)},
                                   {"created_at", format_rfc3339(entry.created_at)}});
  }
  co_return answer(
      {{"data", std::move(data)}, {"pagination", {{"total", page.total}, {"limit", limit}, {"offset", offset}}}});
}

Task<http::Response> get_namespace_usage(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto space, co_await services.identity.namespaces().get(call.id()));
  CO_TRY_ASSIGN(const auto days, query_whole(call, "days", 30, 1, kMostDays));
  const auto now = std::chrono::system_clock::now();
  CO_TRY_ASSIGN(const auto buckets,
                co_await services.usage.of_namespace(space.id, monitor::Period::day,
                                                     now - std::chrono::hours(24 * static_cast<std::int64_t>(days)),
                                                     now + std::chrono::seconds(1)));
  monitor::Usage used;
  for (const auto& bucket : buckets) used += bucket.usage;
  json::object usage = to_json(services.manager.usage_of(space.id));
  co_return answer({{"data",
                     {{"namespace", space.slug},
                      {"in_use", usage},
                      {"limits", to_json(space.limits)},
                      {"days", days},
                      {"used", units_to_json(used)},
                      {"quotas", quotas_to_json(services, space.id)}}},
                    {"usage", std::move(usage)}});
}

}  // namespace cofferdam::api

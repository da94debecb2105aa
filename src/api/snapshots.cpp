// Snapshots of a workspace, forks of it, and the hold that keeps both from being deleted.
#include "workspace/snapshot.h"

#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using workspace::AfterSnapshot;
using workspace::Snapshot;

constexpr double kUsPerMs = 1000;

json::object to_json(const Snapshot& snapshot) {
  return {{"id", snapshot.id},
          {"workspace_id", snapshot.workspace_id},
          {"created_at", format_rfc3339(snapshot.created_at)},
          {"size_bytes", snapshot.bytes},
          {"pause_ms", static_cast<double>(snapshot.pause.count()) / kUsPerMs},
          {"memory_mb", snapshot.shape.memory_mib},
          {"disk_size_mb", snapshot.disk_mib},
          {"image", to_utf8(snapshot.image)},
          {"encrypted", true}};
}

Result<AfterSnapshot> after_field(const json::object& body) {
  TRY_ASSIGN(const auto after, model::get_string(body, "", "after"));
  if (!after || *after == "resume") return AfterSnapshot::resume;
  if (*after == "pause" || *after == "paused") return AfterSnapshot::pause;
  if (*after == "stop") return AfterSnapshot::stop;
  return fail(Code::InvalidArgument, cat("/after: '", *after, "' is none of resume, paused and stop"));
}

Result<std::string> text_field(const json::object& body, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(body, "", field));
  return std::move(text).value_or("");
}

Task<http::Response> with_workspace(Services& services, workspace::Info info) {
  CO_TRY_ASSIGN(const auto space, co_await slug_of(services, info.spec.namespace_id));
  json::object shown = api::to_json(info, space);
  json::object whole{{"id", info.id}, {"status", shown["status"]}};
  whole["workspace"] = std::move(shown);
  co_return answer(std::move(whole));
}

}  // namespace

Task<http::Response> create_snapshot(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto after, after_field(body));
  CO_TRY_ASSIGN(const auto taken, co_await services.manager.snapshot(call.id(), after));
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  json::object whole = to_json(taken);
  whole["snapshot"] = to_json(taken);
  whole["status"] = model::state_name(info.state);
  co_return answer(std::move(whole));
}

Task<http::Response> list_snapshots(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto all, services.manager.snapshots(call.id()));
  json::array items;
  for (const auto& snapshot : all) items.emplace_back(to_json(snapshot));
  co_return answer({{"snapshots", std::move(items)}});
}

Task<http::Response> get_snapshot(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto all, services.manager.snapshots(call.id()));
  for (const auto& snapshot : all) {
    if (snapshot.id == call.params.at(1)) co_return answer(to_json(snapshot));
  }
  co_return fail(Code::NotFound, cat("the workspace has no snapshot '", call.params.at(1), "'"),
                 "list them with `coffer snapshot ls`");
}

Task<http::Response> remove_snapshot(Services& services, Call& call) {
  CO_TRY(co_await services.manager.remove_snapshot(call.id(), call.params.at(1)));
  co_return answer({{"id", call.params.at(1)}, {"removed", true}});
}

Task<http::Response> restore_latest(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto snapshot, text_field(body, "snapshot"));
  CO_TRY_ASSIGN(auto info, co_await services.manager.restore(call.id(), std::move(snapshot)));
  co_return co_await with_workspace(services, std::move(info));
}

Task<http::Response> restore_snapshot(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.restore(call.id(), call.params.at(1)));
  co_return co_await with_workspace(services, std::move(info));
}

Task<http::Response> fork_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  workspace::ForkWish wish;
  if (call.params.size() > 1) {
    wish.snapshot = call.params.at(1);
  } else {
    CO_TRY_ASSIGN(wish.snapshot, text_field(body, "snapshot"));
  }
  CO_TRY_ASSIGN(const auto count, get_whole(body, "", "count", 1, workspace::kMaxForks));
  wish.count = static_cast<std::uint32_t>(count.value_or(1));
  CO_TRY_ASSIGN(wish.name, text_field(body, "name"));
  CO_TRY_ASSIGN(const auto secrets, model::get_flag(body, "", "with_secrets"));
  if (secrets.value_or(false)) wish.secrets = workspace::ForkWish::Secrets::pass_on;
  // New workspaces are their namespace's: whoever may touch this one alone may not make any.
  CO_TRY_ASSIGN(const auto source, services.manager.get(call.id()));
  CO_TRY_ASSIGN(const auto source_space, co_await slug_of(services, source.spec.namespace_id));
  CO_TRY_ASSIGN(const auto allowed,
                co_await namespace_for(services, *call.caller, identity::Verb::lifecycle, source_space));
  CO_TRY(identity::check_active(allowed));
  CO_TRY(services.quotas.check(allowed.id));
  CO_TRY_ASSIGN(const auto all, co_await services.manager.fork(call.id(), std::move(wish)));
  json::array items;
  for (const auto& info : all) {
    CO_TRY_ASSIGN(const auto space, co_await slug_of(services, info.spec.namespace_id));
    items.emplace_back(to_json(info, space));
  }
  co_return answer({{"workspaces", std::move(items)}});
}

Task<http::Response> hold_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto reason, text_field(body, "reason"));
  CO_TRY_ASSIGN(auto info, co_await services.manager.hold(call.id(), std::move(reason)));
  co_return co_await with_workspace(services, std::move(info));
}

Task<http::Response> unhold_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.unhold(call.id()));
  co_return co_await with_workspace(services, std::move(info));
}

}  // namespace cofferdam::api

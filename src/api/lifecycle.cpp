// How long a workspace lives, how large it is, and the notes of its user.
#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using workspace::Apply;

// The workspace, and its lifecycle beside it.
Task<http::Response> changed(Services& services, workspace::Info info) {
  CO_TRY_ASSIGN(const auto space, co_await slug_of(services, info.spec.namespace_id));
  co_return answer({{"workspace", to_json(info, space)},
                    {"lifecycle", lifecycle_to_json(info)},
                    {"idle", idle_to_json(info.spec.idle)},
                    {"mode", info.spec.mode == model::Mode::permanent ? "permanent" : "temporary"}});
}

Task<http::Response> set_metadata(Services& services, Call& call, workspace::MetadataChange how) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  const auto* given = body.if_contains("metadata");
  if (given == nullptr) co_return fail(Code::InvalidArgument, "/metadata: is missing");
  CO_TRY_ASSIGN(auto metadata, model::metadata_from_json(*given));
  CO_TRY(model::validate(metadata));
  CO_TRY(co_await services.manager.set_metadata(call.id(), std::move(metadata), how));
  co_return co_await get_metadata(services, call);
}

}  // namespace

Task<http::Response> get_lifecycle(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  json::object lifecycle = lifecycle_to_json(info);
  lifecycle["mode"] = info.spec.mode == model::Mode::permanent ? "permanent" : "temporary";
  lifecycle["status"] = model::state_name(info.state);
  lifecycle["max_restarts"] = info.spec.max_restarts;
  lifecycle["restart_info"] = json::object{{"restarts", info.restarts}};
  lifecycle["expires_at"] = time_or_null(info.expires_at);
  lifecycle["created_at"] = time_or_null(info.created_at);
  lifecycle["idle"] = idle_to_json(info.spec.idle);
  lifecycle["uptime"] = 0;
  if (info.started_at && info.state != model::State::stopped) {
    const auto up = std::chrono::system_clock::now() - *info.started_at;
    lifecycle["uptime"] = std::chrono::duration_cast<std::chrono::seconds>(up).count();
  }
  lifecycle["snapshot_supported"] = true;
  lifecycle["snapshot_unavailable_reason"] = nullptr;
  lifecycle["pause_supported"] = true;
  co_return answer(std::move(lifecycle));
}

Task<http::Response> make_permanent(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto policy, restart_policy_field(body, ""));
  CO_TRY_ASSIGN(auto info, co_await services.manager.make_permanent(call.id(), policy));
  co_return co_await changed(services, std::move(info));
}

Task<http::Response> make_temporary(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto ttl, get_duration(body, "", "ttl"));
  CO_TRY_ASSIGN(const auto action, ttl_action_field(body, ""));
  CO_TRY_ASSIGN(const auto on_exit, on_exit_field(body, ""));
  CO_TRY_ASSIGN(auto info, co_await services.manager.make_temporary(call.id(), ttl, action, on_exit));
  co_return co_await changed(services, std::move(info));
}

Task<http::Response> set_workspace_ttl(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  if (!body.contains("ttl") && !body.contains("ttl_action")) co_return fail(Code::InvalidArgument, "/ttl: is missing");
  CO_TRY_ASSIGN(auto ttl, get_duration(body, "", "ttl"));
  CO_TRY_ASSIGN(const auto action, ttl_action_field(body, ""));
  if (!body.contains("ttl")) {
    CO_TRY_ASSIGN(const auto now, services.manager.get(call.id()));
    ttl = now.spec.ttl;
  }
  CO_TRY_ASSIGN(auto info, co_await services.manager.set_ttl(call.id(), ttl, action));
  co_return co_await changed(services, std::move(info));
}

Task<http::Response> set_workspace_idle(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto policy, idle_field(body, ""));
  CO_TRY_ASSIGN(auto info, co_await services.manager.set_idle(call.id(), policy));
  co_return co_await changed(services, std::move(info));
}

Task<http::Response> get_resources(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  json::object resources = resources_to_json(info);
  resources["writable_size_mb"] = info.spec.disk_mib;
  resources["status"] = model::state_name(info.state);
  json::object whole = resources;
  whole["resources"] = std::move(resources);
  co_return answer(std::move(whole));
}

Task<http::Response> set_resources(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto wanted, resources_fields(body, ""));
  CO_TRY_ASSIGN(const auto apply, model::get_flag(body, "", "apply"));
  if (wanted == workspace::Resources{}) {
    co_return fail(Code::InvalidArgument, "/: none of cpus, memory_mb and disk_size_mb is given");
  }
  const auto when = apply.value_or(false) ? Apply::now : Apply::at_next_start;
  CO_TRY_ASSIGN(const auto resized, co_await services.manager.resize(call.id(), wanted, when));
  json::object updated;
  if (wanted.cpu_millis) updated["cpus"] = *wanted.cpu_millis / 1000.0;
  if (wanted.memory_mib) updated["memory_mb"] = *wanted.memory_mib;
  if (wanted.disk_mib) updated["disk_size_mb"] = *wanted.disk_mib;
  co_return answer({{"updated", std::move(updated)},
                    {"relaunched", resized.relaunched},
                    {"resources", resources_to_json(resized.info)}});
}

Task<http::Response> get_metadata(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  json::object metadata;
  for (const auto& [key, value] : info.spec.metadata) metadata[key] = value;
  // Clients read the notes at the top; those named like a part of the answer are in the inner object alone.
  json::object whole = metadata;
  whole["metadata"] = std::move(metadata);
  co_return answer(std::move(whole));
}

Task<http::Response> replace_metadata(Services& services, Call& call) {
  return set_metadata(services, call, workspace::MetadataChange::replace);
}

Task<http::Response> merge_metadata(Services& services, Call& call) {
  return set_metadata(services, call, workspace::MetadataChange::merge);
}

}  // namespace cofferdam::api

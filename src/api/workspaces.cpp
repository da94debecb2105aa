// Workspaces: create, look, change, start, stop, pause, remove.
#include <algorithm>

#include "api/create_wish.h"
#include "api/handlers.h"
#include "api/network_json.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"
#include "workspace/ready.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr int kCreated = 201;
constexpr double kUsPerMs = 1000.0;
constexpr std::uint64_t kMaxPage = 1000;
constexpr std::uint64_t kMaxRestarts = 1000;

Task<json::object> shape(Services& services, workspace::Info info) {
  CO_TRY_ASSIGN(const std::string space, co_await slug_of(services, info.spec.namespace_id));
  co_return to_json(info, space);
}

Task<http::Response> one(Services& services, workspace::Info info) {
  CO_TRY_ASSIGN(const std::string space, co_await slug_of(services, info.spec.namespace_id));
  co_return services.workspace_answers.of(std::move(info), space);
}

// What a create has made goes with its failure; what was there before it stays.
Task<void> take_back(Services& services, workspace::Info made) {
  if (!made.was_there) (void)co_await services.manager.remove(made.id);
  co_return Status{};
}

}  // namespace

Task<http::Response> create_workspace(Services& services, Call& call) {
  return make_workspace(services, call, [](std::string) -> Task<void> { co_return Status{}; });
}

Task<http::Response> make_workspace(Services& services, Call& call, std::function<Task<void>(std::string id)> fill) {
  const auto began = steady_clock::now();
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(CreateWish wanted, read_create_wish(body));
  CO_TRY_ASSIGN(const auto space,
                co_await namespace_for(services, *call.caller, identity::Verb::lifecycle, wanted.space));
  CO_TRY(identity::check_active(space));
  if (!wanted.network.nothing()) CO_TRY(may(*call.caller, identity::Verb::network));
  CO_TRY(services.quotas.check(space.id));
  wanted.spec.namespace_id = space.id;
  CO_TRY_ASSIGN(const auto made, co_await services.manager.create(wanted.spec, wanted.idempotency_key));
  if (!wanted.network.nothing()) {
    auto opened = co_await apply_network(services, *call.caller, made.id, std::move(wanted.network));
    if (!opened) {
      (void)co_await take_back(services, made);
      co_return fail(std::move(opened.error()).in("/config/network_config"));
    }
  }
  call.about = {made.id, space.id};
  if (auto filled = co_await fill(made.id); !filled) {
    (void)co_await take_back(services, made);
    co_return fail(std::move(filled.error()));
  }
  for (auto& workload : wanted.workloads) {
    auto begun = co_await services.manager.workloads().create(made.id, workload.spec, workload.id);
    if (begun || begun.error().code == Code::AlreadyExists) continue;
    (void)co_await take_back(services, made);
    co_return fail(std::move(begun.error()).in("/config/workloads"));
  }
  if (wanted.ready_check) {
    auto ready = co_await workspace::wait_until_ready(services.manager, made.id, *wanted.ready_check);
    if (ready) ready = co_await services.drills.keep_check(made.id, std::move(*wanted.ready_check));
    if (!ready) {
      (void)co_await take_back(services, made);
      co_return fail(
          std::move(ready.error())
              .in("/config/ready_check")
              .with_hint("the workspace was removed; look whether the command is right, or give it more time"));
    }
  }
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began).count();
  CO_TRY_ASSIGN(auto workspace, co_await shape(services, made));
  workspace["timings_us"] = json::object{{"create", took}};
  json::object whole{{"workspace", std::move(workspace)}, {"timings_us", {{"create", took}}}};
  if (!wanted.warnings.empty()) whole["warnings"] = std::move(wanted.warnings);
  co_return answer(std::move(whole), kCreated);
}

Task<http::Response> list_workspaces(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto page, query_whole(call, "page", 1, 1, 1'000'000));
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", 0, 0, kMaxPage));
  CO_TRY_ASSIGN(const auto status, query_text(call, "status"));
  CO_TRY_ASSIGN(const auto mode, query_text(call, "mode"));
  CO_TRY_ASSIGN(const auto space, query_text(call, "namespace"));
  if (mode && *mode != "temporary" && *mode != "permanent") {
    co_return fail(Code::InvalidArgument, "the query parameter 'mode' must be temporary or permanent");
  }
  std::optional<std::string> space_id;
  if (space) {
    const auto found = co_await services.identity.namespaces().get(*space);
    space_id = found ? found->id : *space;
  }
  std::vector<workspace::Info> all;
  for (auto& info : services.manager.list()) {
    const bool permanent = info.spec.mode == model::Mode::permanent;
    const bool fits =
        call.who().sees(info.id, info.spec.namespace_id) && (!status || model::state_name(info.state) == *status) &&
        (!mode || permanent == (*mode == "permanent")) && (!space_id || info.spec.namespace_id == *space_id);
    if (fits) all.push_back(std::move(info));
  }
  json::array shown;
  const auto first = limit == 0 ? 0 : (page - 1) * limit;
  for (std::size_t i = first; i < all.size() && (limit == 0 || i < first + limit); ++i) {
    CO_TRY_ASSIGN(auto workspace, co_await shape(services, all[i]));
    shown.emplace_back(std::move(workspace));
  }
  co_return answer({{"workspaces", std::move(shown)},
                    {"total", all.size()},
                    {"page", page},
                    {"limit", limit == 0 ? std::max<std::size_t>(all.size(), 1) : limit}});
}

Task<http::Response> get_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, services.manager.get(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> update_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  workspace::Change change;
  CO_TRY_ASSIGN(change.name, model::get_string(body, "", "name"));
  CO_TRY_ASSIGN(change.slug, model::get_string(body, "", "slug"));
  CO_TRY_ASSIGN(change.logo, model::get_string(body, "", "logo"));
  // A null takes away; nothing at all leaves.
  if (body.contains("slug") && !change.slug) change.slug = "";
  if (body.contains("logo") && !change.logo) change.logo = "";
  CO_TRY_ASSIGN(const auto given, get_object(body, "", "config"));
  const json::object config = given.value_or(json::object{});
  CO_TRY_ASSIGN(const auto resources, resources_fields(config, "/config"));
  CO_TRY_ASSIGN(const auto ttl, get_duration(config, "/config", "ttl"));
  CO_TRY_ASSIGN(const auto action, ttl_action_field(config, "/config"));
  std::optional<std::optional<model::IdlePolicy>> idle;
  if (const auto* value = config.if_contains("idle"); value != nullptr) {
    CO_TRY_ASSIGN(idle, idle_field(*value, "/config/idle"));
  }
  CO_TRY_ASSIGN(change.on_exit, on_exit_field(config, "/config"));
  CO_TRY_ASSIGN(change.restart_policy, restart_policy_field(config, "/config"));
  CO_TRY_ASSIGN(const auto restarts, get_whole(config, "/config", "max_restarts", 0, kMaxRestarts));
  if (restarts) change.max_restarts = static_cast<std::uint32_t>(*restarts);
  for (const char* fixed : {"env", "image", "secrets", "cmd", "workloads"}) {
    if (config.contains(fixed)) {
      co_return not_supported(call, cat("/config/", fixed, ": cannot be changed in a workspace that is there"),
                              "make another one; commands take an environment of their own");
    }
  }
  if (config.contains("ready_check")) {
    co_return not_supported(call, "/config/ready_check: is not changed with the others",
                            "PUT /workspace/ID/ready-check, or DELETE it");
  }
  if (change != workspace::Change{}) CO_TRY(co_await services.manager.update(call.id(), change));
  if (change.name || change.slug) services.networks.renamed(call.id());
  if (resources != workspace::Resources{}) {
    CO_TRY(co_await services.manager.resize(call.id(), resources, workspace::Apply::at_next_start));
  }
  if (ttl || action) {
    CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
    CO_TRY(co_await services.manager.set_ttl(call.id(), ttl ? ttl : info.spec.ttl, action));
  }
  if (idle) CO_TRY(co_await services.manager.set_idle(call.id(), *idle));
  co_return co_await get_workspace(services, call);
}

Task<http::Response> remove_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto removal, co_await services.manager.remove(call.id()));
  json::object removed{{"id", removal.id},
                       {"took_ms", static_cast<double>(removal.took_us) / kUsPerMs},
                       {"keys_gone_ms", static_cast<double>(removal.keys_gone_us) / kUsPerMs}};
  co_return answer({{"id", removal.id}, {"removed", std::move(removed)}, {"receipt_id", removal.receipt_id}});
}

Task<http::Response> get_details(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, services.manager.get(call.id()));
  json::object whole{{"token", nullptr}, {"stats", nullptr}};
  whole["ssh"] = json::object{{"supported", false}, {"ssh_enabled", false}};
  identity::TokenFilter filter;
  filter.workspace_id = info.id;
  const auto tokens = services.identity.tokens().list(call.who(), filter);
  whole["api_access"] = json::object{{"enabled", tokens && !tokens->empty()}};
  whole["lifecycle"] = lifecycle_to_json(info);
  whole["config"] = config_to_json(info);
  if (const auto machine = services.manager.machine(info.id)) {
    CO_TRY_ASSIGN(const auto guest, co_await (*machine)->guest_metrics());
    whole["stats"] = to_json(guest);
  }
  CO_TRY_ASSIGN(auto workspace, co_await shape(services, std::move(info)));
  whole["workspace"] = std::move(workspace);
  co_return answer(std::move(whole));
}

Task<http::Response> start_workspace(Services& services, Call& call) {
  CO_TRY(co_await read_object(call));  // {force?}
  CO_TRY_ASSIGN(auto info, co_await services.manager.start(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> stop_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.stop(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> restart_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.restart(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> pause_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.pause(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> suspend_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.suspend(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> resume_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto info, co_await services.manager.resume(call.id()));
  co_return co_await one(services, std::move(info));
}

Task<http::Response> ping_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto ttl, get_duration(body, "", "ttl_seconds"));
  CO_TRY_ASSIGN(auto info, co_await services.manager.ping(call.id(), ttl));
  const auto ends = time_or_null(info.expires_at);
  CO_TRY_ASSIGN(auto workspace, co_await shape(services, std::move(info)));
  co_return answer({{"ttl_expires_at", ends}, {"expires_at", ends}, {"workspace", std::move(workspace)}});
}

Task<http::Response> retry_provisioning(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  if (info.state == model::State::running) co_return co_await one(services, info);
  co_return co_await start_workspace(services, call);
}

}  // namespace cofferdam::api

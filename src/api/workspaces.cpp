// Workspaces: create, look, start, stop, remove, TTL, figures, console.
#include "api/handlers.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

constexpr int kCreated = 201;
constexpr double kUsPerMs = 1000.0;

http::Response one(const workspace::Info& info, int status = 200) {
  return answer({{"workspace", to_json(info)}}, status);
}

}  // namespace

Task<http::Response> create_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto body, co_await read_object(call));
  CO_TRY_ASSIGN(model::WorkspaceSpec spec, model::workspace_spec_from_json(std::move(body)));
  CO_TRY_ASSIGN(const auto info, co_await services.manager.create(std::move(spec)));
  co_return one(info, kCreated);
}

Task<http::Response> list_workspaces(Services& services, Call&) {
  boost::json::array all;
  for (const auto& info : services.manager.list()) all.emplace_back(to_json(info));
  const auto total = all.size();
  co_return answer({{"workspaces", std::move(all)}, {"total", total}});
}

Task<http::Response> get_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  co_return one(info);
}

Task<http::Response> remove_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto removal, co_await services.manager.remove(call.id()));
  co_return answer({{"removed", {{"id", removal.id}, {"took_ms", static_cast<double>(removal.took_us) / kUsPerMs}}}});
}

Task<http::Response> start_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, co_await services.manager.start(call.id()));
  co_return one(info);
}

Task<http::Response> stop_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto info, co_await services.manager.stop(call.id()));
  co_return one(info);
}

Task<http::Response> set_workspace_ttl(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto ttl, ttl_field(body));
  CO_TRY_ASSIGN(const auto info, co_await services.manager.set_ttl(call.id(), ttl));
  co_return one(info);
}

Task<http::Response> get_workspace_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto machine, services.manager.machine(call.id()));
  CO_TRY_ASSIGN(const auto guest, co_await machine->guest_metrics());
  CO_TRY_ASSIGN(const auto host, co_await machine->host_metrics());
  CO_TRY_ASSIGN(const auto listed, co_await machine->processes());
  boost::json::array processes;
  for (const auto& process : listed) processes.emplace_back(to_json(process));
  co_return answer(
      {{"stats", {{"guest", to_json(guest)}, {"host", to_json(host)}}}, {"processes", std::move(processes)}});
}

Task<http::Response> get_boot_log(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto machine, services.manager.machine(call.id()));
  http::Response response;
  CO_TRY_ASSIGN(response.body, co_await machine->console());
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.headers.add("X-Content-Type-Options", "nosniff");
  co_return response;
}

}  // namespace cofferdam::api

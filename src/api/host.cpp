// The host and its daemon.
#include <unistd.h>

#include "api/handlers.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {

Task<http::Response> get_health(Services& services, Call& call) {
  // Nobody in particular is not told which version this is.
  if (call.who().kind == identity::Principal::Kind::anonymous) co_return answer({{"status", "ok"}});
  co_return answer({{"status", "ok"}, {"version", services.facts.version}});
}

Task<http::Response> get_host(Services& services, Call&) {
  const auto& facts = services.facts;
  const auto host = services.manager.host_info();
  boost::json::array pools;
  for (const auto& pool : host.pools) pools.emplace_back(to_json(pool));
  co_return answer({{"version", facts.version},
                    {"pid", ::getpid()},
                    {"started_at", format_rfc3339(facts.started_at)},
                    {"accelerator", {{"name", host.accelerator.name}, {"reason", host.accelerator.reason}}},
                    {"workspaces", host.workspaces},
                    {"running", host.running},
                    {"pools", std::move(pools)},
                    {"state_dir", facts.state_dir},
                    {"run_dir", facts.run_dir},
                    {"socket", facts.socket},
                    {"listen", facts.address}});
}

Task<http::Response> shut_down_host(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto keep, model::get_flag(body, "", "keep_permanent"));
  using Permanent = workspace::Manager::Permanent;
  CO_TRY(co_await services.shutdown(keep.value_or(true) ? Permanent::keep_running : Permanent::stop));
  co_return answer({{"status", "stopped"}});
}

}  // namespace cofferdam::api

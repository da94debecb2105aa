// The host and its daemon.
#include <unistd.h>

#include <algorithm>

#include "api/handlers.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "http/client.h"
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

Task<http::Response> back_up_host(Services& services, Call& call) {
  constexpr std::size_t kMin = 8;
  constexpr std::size_t kMax = 1024;
  if (!services.make_backup) co_return fail(Code::Unimplemented, "this daemon makes no backups");
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto given, model::get_string(body, "", "passphrase"));
  if (!given || given->size() < kMin || given->size() > kMax) {
    co_return fail(Code::InvalidArgument, cat("/passphrase: has ", kMin, " to ", kMax, " bytes"));
  }
  auto passphrase = SecureBytes::copy_of(*given);
  std::fill(given->begin(), given->end(), '\0');
  CO_TRY_ASSIGN(UniqueFd file, co_await services.make_backup(std::move(passphrase)));
  const auto executor = co_await loop::asio::this_coro::executor;
  CO_TRY_ASSIGN(auto bytes, http::source_of(executor, std::move(file)));
  http::Response response;
  response.headers.add("Content-Type", "application/octet-stream");
  response.headers.add("Content-Disposition", "attachment; filename=\"cofferdam.backup\"");
  response.headers.add("Cache-Control", "no-store");
  response.source = std::move(bytes.source);
  response.source_length = bytes.length;
  co_return response;
}

}  // namespace cofferdam::api

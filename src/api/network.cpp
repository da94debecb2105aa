// The network of a workspace: what it may reach, and who may reach it.
#include "api/handlers.h"
#include "api/network_json.h"

namespace cofferdam::api {

Task<http::Response> get_network(Services& services, Call& call) {
  co_return answer(network_to_json(services, *call.caller, call.id()));
}

Task<http::Response> update_network(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto read, network_change(body, ""));
  if (read.unsupported) co_return not_supported(call, *read.unsupported);
  CO_TRY(co_await apply_network(services, *call.caller, call.id(), std::move(read.change)));
  co_return answer(network_to_json(services, *call.caller, call.id()));
}

}  // namespace cofferdam::api

// Where the data of workspaces can go, and where it went.
#include "incident/data_flows.h"

#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/network_json.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

incident::ApiTransport transport_of(const HostFacts& facts) {
  if (facts.address.empty()) return incident::ApiTransport::socket_only;
  return starts_with(facts.address, "https:") ? incident::ApiTransport::tls : incident::ApiTransport::clear_text;
}

}  // namespace

// Of one workspace, or of all that the caller may see.
Task<http::Response> get_flows(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "workspace"));
  std::vector<std::string> ids;
  if (asked) {
    CO_TRY_ASSIGN(const auto info, workspace_for(services, *call.caller, identity::Verb::read, *asked));
    ids.push_back(info.id);
  } else {
    for (const auto& info : services.manager.list()) {
      if (call.who().sees(info.id, info.spec.namespace_id)) ids.push_back(info.id);
    }
  }
  boost::json::array workspaces;
  for (const auto& id : ids) {
    auto flows = co_await incident::data_flows(services.containment.sources(), services.containment.book(),
                                               transport_of(services.facts), id);
    if (!flows && flows.error().code == Code::NotFound && !asked) continue;  // removed meanwhile
    if (!flows) co_return fail(std::move(flows.error()));
    workspaces.emplace_back(std::move(*flows));
  }
  co_return answer({{"workspaces", std::move(workspaces)}});
}

}  // namespace cofferdam::api

// Links between workspaces, and the picture of who can reach whom.
#include <boost/json/array.hpp>
#include <set>

#include "api/handlers.h"
#include "api/network_json.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;

constexpr int kCreated = 201;

bool sees(const Services& services, const Call& call, const std::string& workspace) {
  const auto info = services.manager.get(workspace);
  return info && call.who().sees(info->id, info->spec.namespace_id);
}

std::string name_of(const Services& services, const std::string& workspace) {
  const auto info = services.manager.get(workspace);
  return info ? info->spec.name : std::string();
}

json::object to_json(const Services& services, const Call& call, const net::Link& link) {
  json::object object{{"id", link.id},
                      {"from", link.source},
                      {"to", link.target},
                      {"from_name", nullptr},
                      {"to_name", nullptr},
                      {"ports", ports_to_json(link.ports)},
                      {"note", link.note},
                      {"address", nullptr},
                      {"expires_at", time_or_null(link.expires_at)},
                      {"created_at", format_rfc3339(link.created_at)},
                      {"created_by", link.created_by}};
  if (sees(services, call, link.source)) object["from_name"] = name_of(services, link.source);
  if (sees(services, call, link.target)) {
    object["to_name"] = name_of(services, link.target);
    if (const auto pair = services.networks.pair(link.target)) object["address"] = pair->guest.text();
  }
  return object;
}

tl::unexpected<Error> no_such_link(std::string_view id) {
  return fail(Code::NotFound, cat("there is no link '", id.substr(0, 64), "'"), "list them: coffer link ls");
}

}  // namespace

// Whoever joins two workspaces must have a say in both.
Task<http::Response> create_link(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto from, required_text(body, "from"));
  CO_TRY_ASSIGN(const auto to, required_text(body, "to"));
  CO_TRY_ASSIGN(const auto source, workspace_for(services, *call.caller, Verb::network, from));
  CO_TRY_ASSIGN(const auto target, workspace_for(services, *call.caller, Verb::network, to));
  CO_TRY_ASSIGN(auto ports, ports_field(body, "", "ports"));
  CO_TRY_ASSIGN(const auto note, model::get_string(body, "", "note"));
  CO_TRY_ASSIGN(const auto ttl, get_duration(body, "", "ttl"));
  net::LinkWish wish;
  wish.source = source.id;
  wish.target = target.id;
  if (ports) wish.ports = std::move(*ports);
  wish.note = note.value_or("");
  if (ttl) wish.expires_at = std::chrono::system_clock::now() + *ttl;
  wish.created_by = call.who().id;
  wish.by = call.who().origin();
  CO_TRY_ASSIGN(const auto link, co_await services.networks.add_link(std::move(wish)));
  co_return answer({{"link", to_json(services, call, link)}}, kCreated);
}

Task<http::Response> list_links(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "workspace"));
  std::string only;
  if (asked) {
    CO_TRY_ASSIGN(const auto info, workspace_for(services, *call.caller, Verb::read, *asked));
    only = info.id;
  }
  json::array links;
  for (const auto& [id, link] : services.networks.links()) {
    if (!only.empty() && link.source != only && link.target != only) continue;
    if (!sees(services, call, link.source) && !sees(services, call, link.target)) continue;
    links.emplace_back(to_json(services, call, link));
  }
  co_return answer({{"links", std::move(links)}});
}

// Either end's owner may end it.
Task<http::Response> remove_link(Services& services, Call& call) {
  const std::string& id = call.id();
  const auto found = services.networks.links().find(id);
  if (found == services.networks.links().end()) co_return no_such_link(id);
  const net::Link link = found->second;
  if (!sees(services, call, link.source) && !sees(services, call, link.target)) co_return no_such_link(id);
  const auto by_source = workspace_for(services, *call.caller, Verb::network, link.source);
  const auto by_target = workspace_for(services, *call.caller, Verb::network, link.target);
  if (!by_source && !by_target) {
    co_return fail(sees(services, call, link.source) ? by_source.error() : by_target.error());
  }
  CO_TRY(co_await services.networks.remove_link(id, call.who().origin()));
  co_return answer({{"id", id}});
}

Task<http::Response> get_graph(Services& services, Call& call) {
  json::array nodes;
  json::array edges;
  const auto edge = [&edges](std::string_view kind, std::string_view from, std::string_view to, json::array ports) {
    edges.emplace_back(json::object{{"kind", kind}, {"from", from}, {"to", to}, {"ports", std::move(ports)}});
  };
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    const auto pair = services.networks.pair(info.id);
    json::object node{{"id", info.id}, {"name", info.spec.name}, {"state", model::state_name(info.state)}};
    node["address"] = nullptr;
    if (pair) node["address"] = pair->guest.text();
    nodes.emplace_back(std::move(node));
    const auto& egress = services.networks.egress(info.id);
    if (egress.open()) edge("egress", info.id, "*", ports_to_json(egress.ports));
    for (const auto& entry : egress.entries) edge("egress", info.id, entry, ports_to_json(egress.ports));
    for (const auto& exposure : services.networks.exposures(info.id)) {
      edge("ingress", exposure.token_digest.empty() ? "anybody" : "token holders", info.id, json::array{exposure.port});
    }
  }
  for (const auto& [id, link] : services.networks.links()) {
    if (!sees(services, call, link.source) && !sees(services, call, link.target)) continue;
    edge("link", link.source, link.target, ports_to_json(link.ports));
  }
  co_return answer({{"nodes", std::move(nodes)}, {"edges", std::move(edges)}});
}

}  // namespace cofferdam::api

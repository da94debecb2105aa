#include "incident/reach.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <map>
#include <tuple>

#include "base/text.h"
#include "base/time.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;

std::string time_text(std::uint64_t time_us) {
  constexpr std::uint64_t kLatest = INT64_MAX / 2000;
  return format_rfc3339(
      std::chrono::system_clock::time_point(std::chrono::microseconds(std::min<std::uint64_t>(time_us, kLatest))));
}

std::string name_of(const workspace::Manager& manager, const std::string& workspace) {
  const auto info = manager.get(workspace);
  return info ? info->spec.name : std::string();
}

void add(Destination& destination, const net::Flow& flow) {
  if (flow.event == "opened") ++destination.opened;
  if (flow.event == "refused") ++destination.refused;
  destination.bytes_out += flow.bytes_out;
  destination.bytes_in += flow.bytes_in;
  if (destination.first_us == 0) destination.first_us = flow.time_us;
  if (!flow.via.empty()) destination.via.insert(flow.via);
  destination.last_us = std::max(destination.last_us, flow.time_us);
}

std::string_view told(gate::ProxyTarget target) { return target == gate::ProxyTarget::name ? "names" : "addresses"; }

void add_proxies(const net::Networks& networks, const std::string& workspace, json::object& policy) {
  const auto& site = networks.settings();
  const auto& own = networks.proxy(workspace);
  json::array proxies, way;
  if (site.proxy) {
    proxies.emplace_back(json::object{{"whose", "operator"}, {"told", told(site.proxy->target)}});
    way.emplace_back(gate::kOperatorsProxy);
  }
  json::array ways;
  // What the operator has opened inside is not the business of a workspace's proxy.
  if (own && !site.opened_ranges.empty()) ways.emplace_back(way);
  if (own) {
    const bool login = own->login != nullptr || own->state == net::Proxy::Login::unreadable;
    proxies.emplace_back(json::object{
        {"whose", "workspace"}, {"told", told(own->target)}, {"place", net::proxy_text(*own)}, {"login", login}});
    way.emplace_back(net::proxy_text(*own));
  }
  ways.emplace_back(std::move(way));
  policy["proxies"] = std::move(proxies);
  policy["ways"] = std::move(ways);
}

}  // namespace

std::string Destination::where() const { return cat(name.empty() ? address : name, port == 0 ? "" : cat(":", port)); }

Observed summarize(const std::vector<net::Flow>& flows) {
  Observed observed;
  std::map<std::tuple<std::string, std::string, std::string, std::uint16_t>, Destination> found;
  for (const auto& flow : flows) {
    observed.omitted += flow.omitted;
    if (flow.omitted != 0) continue;
    if (flow.kind == "dns") {
      ++(flow.event == "refused" ? observed.names_refused : observed.names_asked);
      continue;
    }
    auto& destination = found[{flow.kind, flow.name, flow.address, flow.port}];
    destination.kind = flow.kind;
    destination.name = flow.name;
    destination.address = flow.address;
    destination.port = flow.port;
    add(destination, flow);
  }
  for (auto& [key, destination] : found) observed.destinations.push_back(std::move(destination));
  std::sort(observed.destinations.begin(), observed.destinations.end(), [](const auto& a, const auto& b) {
    return std::tie(a.bytes_out, a.opened) > std::tie(b.bytes_out, b.opened);
  });
  if (observed.destinations.size() > kMaxDestinations) {
    observed.more_destinations = observed.destinations.size() - kMaxDestinations;
    observed.destinations.resize(kMaxDestinations);
  }
  return observed;
}

Task<Observed> observe(net::FlowLog& log, std::string workspace) {
  CO_TRY_ASSIGN(const auto flows, co_await log.last(std::move(workspace), net::FlowLog::kKeptOfOne));
  co_return summarize(flows);
}

json::object policy_of(const net::Networks& networks, const workspace::Manager& manager, const std::string& workspace) {
  json::array egress;
  for (const auto& entry : networks.egress(workspace).entries) egress.emplace_back(entry);
  json::array out;
  json::array in;
  for (const auto& [id, link] : networks.links()) {
    if (link.source != workspace && link.target != workspace) continue;
    const auto& other = link.source == workspace ? link.target : link.source;
    json::object object{
        {"link", id}, {"workspace", other}, {"name", name_of(manager, other)}, {"ports", net::ports_text(link.ports)}};
    (link.source == workspace ? out : in).emplace_back(std::move(object));
  }
  json::array exposed;
  for (const auto& exposure : networks.exposures(workspace)) {
    exposed.emplace_back(json::object{{"port", exposure.port},
                                      {"slug", exposure.slug},
                                      {"to", exposure.token_digest.empty() ? "anybody" : "token holders"}});
  }
  json::object policy{{"internet", networks.egress(workspace).open()},
                      {"egress", std::move(egress)},
                      {"egress_ports", net::ports_text(networks.egress(workspace).ports)},
                      {"links_out", std::move(out)},
                      {"links_in", std::move(in)},
                      {"exposed", std::move(exposed)}};
  add_proxies(networks, workspace, policy);
  return policy;
}

json::array way_to_json(const std::string& via) {
  json::array way;
  if (via == gate::kNoProxy) return way;
  for (const auto& proxy : split(via, ',')) way.emplace_back(proxy);
  return way;
}

std::set<std::string> proxies_of(const Observed& observed) {
  std::set<std::string> proxies;
  for (const auto& destination : observed.destinations) {
    for (const auto& via : destination.via) {
      for (const auto& proxy : way_to_json(via)) proxies.emplace(proxy.as_string());
    }
  }
  return proxies;
}

std::string proxy_name(std::string_view proxy) {
  return proxy == gate::kOperatorsProxy ? std::string("the operator's proxy") : cat("the proxy ", proxy);
}

json::object to_json(const Destination& destination) {
  json::array ways;
  for (const auto& via : destination.via) ways.emplace_back(way_to_json(via));
  return {{"kind", destination.kind},
          {"name", destination.name},
          {"address", destination.address},
          {"port", destination.port},
          {"opened", destination.opened},
          {"refused", destination.refused},
          {"bytes_out", destination.bytes_out},
          {"bytes_in", destination.bytes_in},
          {"ways", std::move(ways)},
          {"first", time_text(destination.first_us)},
          {"last", time_text(destination.last_us)}};
}

json::object to_json(const Observed& observed) {
  json::array destinations;
  for (const auto& destination : observed.destinations) destinations.emplace_back(to_json(destination));
  return {{"destinations", std::move(destinations)},
          {"more_destinations", observed.more_destinations},
          {"names_asked", observed.names_asked},
          {"names_refused", observed.names_refused},
          {"records_omitted", observed.omitted}};
}

}  // namespace cofferdam::incident

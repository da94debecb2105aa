#include "incident/data_flows.h"

#include <boost/json/array.hpp>
#include <set>

#include "base/text.h"
#include "incident/incident_book.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;
using identity::Verb;

constexpr std::uint16_t kHttp = 80;

json::array names(const std::vector<std::string>& texts) {
  json::array array;
  for (const auto& text : texts) array.emplace_back(text);
  return array;
}

// Of "K=V" the K.
json::array keys_of(const std::vector<std::string>& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(item.substr(0, item.find('=')));
  return array;
}

json::object reaches(const workspace::Info& info, const json::object& policy) {
  return {{"image", info.spec.image},
          {"disk_mib", info.spec.disk_mib},
          {"secrets", names(info.spec.secrets)},
          {"environment", keys_of(info.spec.env)},
          {"internet", policy.at("internet")},
          {"egress", policy.at("egress")},
          {"workspaces", policy.at("links_out")}};
}

json::object flow(std::string_view from, std::string_view to, std::string_view through, bool allowed) {
  return {{"from", from}, {"to", to}, {"through", through}, {"allowed", allowed}, {"observed", false}};
}

json::object flow_outside(const std::string& id, std::string_view to, const json::object& policy) {
  auto object = flow(id, to, "gate", true);
  object["ways"] = policy.at("ways");
  return object;
}

void add_observed(json::array& flows, const std::string& id, const Destination& seen) {
  const bool inwards = seen.kind == "ingress";
  auto object = flow(inwards ? std::string_view("visitors") : std::string_view(id),
                     inwards ? std::string_view(id) : std::string_view(seen.where()), inwards ? "exposed port" : "gate",
                     seen.opened > 0);
  object["observed"] = true;
  object["connections"] = seen.opened;
  object["refused"] = seen.refused;
  object["bytes_out"] = seen.bytes_out;
  object["bytes_in"] = seen.bytes_in;
  if (seen.kind == "egress") object["ways"] = to_json(seen).at("ways");
  flows.emplace_back(std::move(object));
}

json::array flows_of(const std::string& id, const json::object& policy, const Observed& observed) {
  json::array flows;
  if (policy.at("internet").as_bool()) flows.emplace_back(flow_outside(id, "every public address", policy));
  for (const auto& entry : policy.at("egress").as_array()) {
    flows.emplace_back(flow_outside(id, std::string_view(entry.as_string()), policy));
  }
  for (const auto& item : policy.at("links_out").as_array()) {
    const auto& link = item.as_object();
    flows.emplace_back(flow(
        id, cat(link.at("workspace").as_string().c_str(), ":", link.at("ports").as_string().c_str()), "link", true));
  }
  for (const auto& item : policy.at("links_in").as_array()) {
    const auto& link = item.as_object();
    flows.emplace_back(flow(std::string_view(link.at("workspace").as_string()),
                            cat(id, ":", link.at("ports").as_string().c_str()), "link", true));
  }
  for (const auto& item : policy.at("exposed").as_array()) {
    const auto& port = item.as_object();
    flows.emplace_back(flow(std::string_view(port.at("to").as_string()), cat(id, ":", port.at("port").as_int64()),
                            "exposed port", true));
  }
  flows.emplace_back(flow("holders of its tokens", id, "control plane", true));
  for (const auto& seen : observed.destinations) add_observed(flows, id, seen);
  return flows;
}

// Tokens that may look into it, by what they may do.
json::array readers(const std::vector<identity::Token>& tokens) {
  json::array array;
  for (const auto& token : tokens) {
    if (!token.grant.verbs.has(Verb::exec) && !token.grant.verbs.has(Verb::files)) continue;
    array.emplace_back(json::object{{"token", token.id}, {"label", token.label}, {"verbs", token.grant.verbs.text()}});
  }
  return array;
}

// Who sees connections outside because they are led through a proxy: now, and those of before that were seen.
void add_proxies(const json::array& proxies, const Observed& observed, json::array& lines) {
  constexpr std::string_view kSees =
      ": names (SNI, Host), addresses, sizes and times, and what is not encrypted by the workspace itself";
  std::set<std::string> now;
  bool operators = false;
  for (const auto& item : proxies) {
    const auto& proxy = item.as_object();
    const auto* place = proxy.if_contains("place");
    const std::string key(place == nullptr ? gate::kOperatorsProxy : std::string_view(place->as_string()));
    now.insert(key);
    const auto name = proxy_name(key);
    lines.emplace_back(
        cat(name, place == nullptr ? "" : ", the workspace's own", ", which connections outside go through", kSees));
    if (proxy.at("told").as_string() == "names") {
      lines.emplace_back(cat("the name servers that ", name, " asks: names, which it is told instead of addresses"));
    }
    if (place != nullptr && proxy.at("login").as_bool()) {
      lines.emplace_back(cat("the network between this host and ", name, operators ? ", and the operator's proxy" : "",
                             ": the login for it, which is not encrypted"));
    }
    operators = operators || place == nullptr;
  }
  for (const auto& proxy : proxies_of(observed)) {
    if (now.count(proxy) > 0) continue;
    lines.emplace_back(cat(proxy_name(proxy), ", which connections outside went through before", kSees));
  }
}

json::array in_transit(const json::object& policy, const Observed& observed, ApiTransport api) {
  json::array lines;
  bool clear = policy.at("egress_ports").as_string() == "80";
  for (const auto& seen : observed.destinations) clear = clear || (seen.kind == "egress" && seen.port == kHttp);
  const bool out = policy.at("internet").as_bool() || !policy.at("egress").as_array().empty();
  if (out) {
    lines.emplace_back("the gate on this host: names (SNI, Host), addresses, sizes and times of every connection");
    lines.emplace_back("the network beyond this host: the same, and what is not encrypted by the workspace itself");
  }
  add_proxies(out ? policy.at("proxies").as_array() : json::array(), observed, lines);
  if (clear) lines.emplace_back("connections to port 80 are in clear text, and went there");
  if (!policy.at("links_out").as_array().empty() || !policy.at("links_in").as_array().empty()) {
    lines.emplace_back("links stay on this host: root of the host alone can see them");
  }
  if (!policy.at("exposed").as_array().empty()) {
    lines.emplace_back(api == ApiTransport::tls
                           ? "visitors of exposed ports come over TLS that ends at this host"
                           : "visitors of exposed ports come in clear text, unless a proxy is in front");
  }
  if (api == ApiTransport::socket_only) lines.emplace_back("the control plane is a socket of this host");
  if (api == ApiTransport::clear_text) lines.emplace_back("the control plane is clear text over TCP");
  if (api == ApiTransport::tls) lines.emplace_back("the control plane is TLS over TCP");
  return lines;
}

json::array at_rest(const workspace::Info& info) {
  json::array lines;
  lines.emplace_back("root of this host: memory of the virtual machine while it runs");
  lines.emplace_back(info.spec.keeps_disk()
                         ? "its disk is encrypted: who has the key tree of this host open, which is root, can read it"
                         : "its disk is encrypted under a key that is written nowhere: root, while its machine runs");
  if (info.snapshots > 0) {
    lines.emplace_back(
        cat("its ", info.snapshots, " snapshots of memory and disk are encrypted, each under its own key"));
  }
  if (!info.spec.secrets.empty()) lines.emplace_back("its secrets are encrypted under a key of this host");
  return lines;
}

json::object when_destroyed(const workspace::Info& info, const Observed& observed) {
  json::array gone{"its memory, its disk and the disk's key", "tokens that are good for it alone",
                   "links and exposed ports", "its logs"};
  if (info.snapshots > 0) gone.emplace_back("its snapshots and their keys");
  json::array stays{"a signed receipt of what was destroyed", "entries of the ledger about it",
                    "the record of its connections, as long as there is room", "its use, as figures of its namespace",
                    "its image, and secrets of its namespace"};
  json::array beyond;
  for (const auto& seen : observed.destinations) {
    if (seen.kind == "egress" && seen.bytes_out > 0)
      beyond.emplace_back(cat(seen.where(), ": ", seen.bytes_out, " bytes"));
    if (seen.kind == "link" && seen.bytes_out > 0)
      beyond.emplace_back(cat("workspace ", seen.where(), ": ", seen.bytes_out, " bytes"));
  }
  return {{"gone", std::move(gone)}, {"stays", std::move(stays)}, {"beyond_reach", std::move(beyond)}};
}

}  // namespace

Task<json::object> data_flows(Sources sources, const IncidentBook& book, ApiTransport api, std::string workspace_id) {
  CO_TRY_ASSIGN(const auto info, sources.manager.get(workspace_id));
  const auto policy = policy_of(sources.networks, sources.manager, info.id);
  CO_TRY_ASSIGN(const auto observed, co_await observe(sources.networks.flows(), info.id));
  json::object answer{{"workspace", info.id},
                      {"name", info.spec.name},
                      {"state", model::state_name(info.state)},
                      {"contained", book.of(info.id) != nullptr},
                      {"reaches", reaches(info, policy)},
                      {"proxies", policy.at("proxies")},
                      {"flows", flows_of(info.id, policy, observed)}};
  const auto tokens = sources.identity.tokens().covering(info.id, info.spec.namespace_id);
  answer["seen_by"] = json::object{{"at_rest", at_rest(info)},
                                   {"in_transit", in_transit(policy, observed, api)},
                                   {"tokens", readers(tokens)},
                                   {"administrators", "the administrator, root, members of the group cofferdam"}};
  answer["when_destroyed"] = when_destroyed(info, observed);
  co_return answer;
}

}  // namespace cofferdam::incident

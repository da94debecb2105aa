#include "api/network_json.h"

#include <algorithm>
#include <boost/json/array.hpp>

#include "base/text.h"
#include "identity/principal.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;

// What the links that are made by naming their sources carry as their note.
constexpr std::string_view kByContract = "private_link_ids";
constexpr std::string_view kProxyProtocol = "http";

std::vector<net::Link> contract_links(const Services& services, const std::string& target) {
  std::vector<net::Link> links;
  for (const auto& [id, link] : services.networks.links()) {
    if (link.target == target && link.note == kByContract) links.push_back(link);
  }
  return links;
}

// One link from each named workspace to the ports that are open for them, and no other of this kind.
Task<void> set_contract_links(Services& services, const Caller& caller, std::string target,
                              std::optional<std::vector<std::string>> sources) {
  const auto ports = services.networks.ingress_ports(target);
  std::vector<std::string> wanted;
  const auto before = contract_links(services, target);
  if (sources) {
    for (std::size_t i = 0; i < sources->size(); ++i) {
      auto source = workspace_for(services, caller, Verb::network, (*sources)[i]);
      if (!source) co_return fail(std::move(source.error()).in(cat("/private_link_ids/", i)));
      wanted.push_back(source->id);
    }
  } else {
    for (const auto& link : before) wanted.push_back(link.source);
  }
  for (const auto& link : before) {
    const bool stays =
        !ports.empty() && link.ports == ports && std::find(wanted.begin(), wanted.end(), link.source) != wanted.end();
    if (stays) {
      std::erase(wanted, link.source);
    } else {
      CO_TRY(co_await services.networks.remove_link(link.id, caller.who.origin()));
    }
  }
  if (ports.empty() && sources && !wanted.empty()) {
    co_return fail(Code::InvalidArgument, "/private_link_ids: no ports are open for them",
                   "give ingress_ports as well, such as [5432]");
  }
  if (ports.empty()) co_return Status{};
  for (const auto& source : wanted) {
    net::LinkWish wish;
    wish.source = source;
    wish.target = target;
    wish.ports = ports;
    wish.note = kByContract;
    wish.created_by = caller.who.id;
    wish.by = caller.who.origin();
    CO_TRY(co_await services.networks.add_link(std::move(wish)));
  }
  co_return Status{};
}

Result<gate::Ports> ports_of(const json::value& value) {
  if (const auto* text = value.if_string()) return net::parse_ports(std::string_view(*text));
  if (value.is_number()) return net::parse_ports(cat(value.to_number<double>()));
  const auto* list = value.if_array();
  if (list == nullptr) return fail(Code::InvalidArgument, "must be a list of ports");
  std::string text;
  for (const auto& item : *list) {
    if (!item.is_number() && !item.is_string()) return fail(Code::InvalidArgument, "must be a list of ports");
    text +=
        cat(text.empty() ? "" : ",", item.is_string() ? std::string(item.get_string()) : cat(item.to_number<double>()));
  }
  if (text.empty()) return gate::Ports{};
  return net::parse_ports(text);
}

bool changes_something(const json::value& value) {
  if (value.is_null()) return false;
  if (const auto* flag = value.if_bool()) return *flag;
  if (const auto* list = value.if_array()) return !list->empty();
  return true;
}

std::string take(std::optional<std::string> text) { return std::move(text).value_or(""); }

// What says who asks is never part of an error.
Result<std::shared_ptr<const SecureBytes>> login_of(const json::object& proxy, std::string_view path) {
  TRY_ASSIGN(auto user, model::get_string(proxy, path, "username"));
  TRY_ASSIGN(auto password, model::get_string(proxy, path, "password"));
  const auto name = take(std::move(user));
  const auto word = take(std::move(password));
  if (name.empty() && word.empty()) return nullptr;
  if (name.empty()) return fail(Code::InvalidArgument, cat(path, "/username: is missing, and there is a password"));
  if (name.find(':') != std::string::npos) return fail(Code::InvalidArgument, cat(path, "/username: has a colon"));
  SecureBytes login(name.size() + 1 + word.size());
  auto to = std::copy(name.begin(), name.end(), login.writable().begin());
  *to++ = ':';
  std::copy(word.begin(), word.end(), to);
  return std::make_shared<const SecureBytes>(std::move(login));
}

Result<ProxyWish> proxy_wish(const json::object& proxy, std::string_view path) {
  constexpr std::uint64_t kLastPort = 65535;
  ProxyWish wish;
  TRY_ASSIGN(auto host, model::get_string(proxy, path, "host"));
  wish.host = take(std::move(host));
  TRY_ASSIGN(const auto port, get_whole(proxy, path, "port", 1, kLastPort));
  if (wish.host.empty() || !port) return fail(Code::InvalidArgument, cat(path, ": needs host and port"));
  wish.port = static_cast<std::uint16_t>(*port);
  TRY_ASSIGN(const auto protocol, model::get_string(proxy, path, "protocol"));
  if (protocol && !protocol->empty() && *protocol != kProxyProtocol) {
    return fail(Code::InvalidArgument, cat(path, "/protocol: this host speaks with proxies by ", kProxyProtocol),
                "name an HTTP proxy that takes CONNECT");
  }
  TRY_ASSIGN(const auto resolves, model::get_flag(proxy, path, "resolves"));
  if (resolves.value_or(false)) wish.target = gate::ProxyTarget::name;
  TRY_ASSIGN(wish.login, login_of(proxy, path));
  TRY_ASSIGN(const auto keep, model::get_flag(proxy, path, "keep_credentials"));
  if (!keep.value_or(false)) return wish;
  if (wish.login) {
    return fail(Code::InvalidArgument, cat(path, "/keep_credentials: goes without username and password"));
  }
  wish.which = ProxyWish::Login::kept;
  return wish;
}

Status read_outbound(const json::object& object, std::string_view path, NetworkChange& change) {
  TRY_ASSIGN(const auto mode, model::get_string(object, path, "outbound_mode"));
  TRY_ASSIGN(const auto proxy, get_object(object, path, "custom_proxy"));
  if (mode == "managed") {
    change.outbound = OutboundMode::managed;
    return {};
  }
  if (mode && *mode != "custom") {
    return fail(Code::InvalidArgument, cat(path, "/outbound_mode: is managed or custom"));
  }
  if (mode) change.outbound = OutboundMode::custom;
  if (!proxy) return {};
  change.outbound = OutboundMode::custom;
  TRY_ASSIGN(change.proxy, proxy_wish(*proxy, cat(path, "/custom_proxy")));
  return {};
}

Task<void> apply_proxy(Services& services, const Caller& caller, std::string workspace, std::optional<ProxyWish> wish) {
  auto& networks = services.networks;
  std::optional<net::Proxy> proxy;
  if (wish) {
    const SecureBytes none;
    auto made =
        net::make_proxy(networks.settings(), wish->host, wish->port, wish->target, wish->login ? *wish->login : none);
    if (!made) co_return fail(std::move(made.error()).in("/custom_proxy"));
    proxy = std::move(*made);
    if (wish->which == ProxyWish::Login::kept) {
      const auto& now = networks.proxy(workspace);
      // What one proxy was to be shown is nothing for another.
      if (!now || now->host != proxy->host || now->port != proxy->port) {
        co_return fail(Code::InvalidArgument,
                       "/custom_proxy/keep_credentials: the workspace has no proxy at this host and port",
                       "give username and password");
      }
      proxy->login = now->login;
      proxy->state = now->state;
    }
  }
  if (proxy == networks.proxy(workspace)) co_return Status{};
  co_return co_await networks.set_proxy(std::move(workspace), std::move(proxy), caller.who.origin());
}

}  // namespace

Result<std::optional<gate::Ports>> ports_field(const json::object& object, std::string_view path,
                                               std::string_view field) {
  const auto* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return std::nullopt;
  auto ports = ports_of(*value);
  if (!ports) return fail(std::move(ports.error()).in(cat(path, "/", field)));
  return std::move(*ports);
}

json::array ports_to_json(const gate::Ports& ports) {
  json::array list;
  for (const auto& range : ports) {
    if (range.first == range.last) {
      list.emplace_back(range.first);
    } else {
      list.emplace_back(cat(range.first, "-", range.last));
    }
  }
  return list;
}

Result<ReadChange> network_change(const json::object& object, std::string_view path) {
  ReadChange read;
  TRY_ASSIGN(read.change.allow_internet, model::get_flag(object, path, "allow_internet"));
  TRY_ASSIGN(read.change.egress, get_texts(object, path, "egress"));
  TRY_ASSIGN(read.change.egress_ports, ports_field(object, path, "egress_ports"));
  TRY_ASSIGN(read.change.ingress_ports, ports_field(object, path, "ingress_ports"));
  TRY_ASSIGN(read.change.private_link_ids, get_texts(object, path, "private_link_ids"));
  TRY(read_outbound(object, path, read.change));
  constexpr std::pair<std::string_view, std::string_view> kNot[] = {
      {"ingress", "name ports with ingress_ports, and who may reach them with private_link_ids"},
      {"public_access", "expose single ports: POST /workspace/ID/public-access"},
      {"public_ingress", "expose single ports: POST /workspace/ID/public-access"}};
  for (const auto& [field, why] : kNot) {
    const auto* value = object.if_contains(json::string_view(field.data(), field.size()));
    if (value != nullptr && changes_something(*value)) read.unsupported = cat(path, "/", field, ": ", why);
  }
  return read;
}

Result<workspace::Info> workspace_for(Services& services, const Caller& caller, Verb verb, const std::string& asked) {
  auto info = services.manager.get(asked);
  if (!info && info.error().code != Code::NotFound) return fail(std::move(info.error()));
  if (!info) return fail(identity::no_such_workspace(asked));
  TRY(caller.who.allows(verb, info->id, info->spec.namespace_id, asked));
  return info;
}

Task<void> apply_network(Services& services, const Caller& caller, std::string workspace, NetworkChange change) {
  auto& networks = services.networks;
  CO_TRY_ASSIGN(const auto turn, co_await networks.change(workspace));
  if (change.outbound == OutboundMode::custom && !change.proxy && !networks.proxy(workspace)) {
    co_return fail(Code::InvalidArgument, "/custom_proxy: is missing", "give host and port of an HTTP proxy");
  }
  // What is opened goes out by the new proxy; what is closed, by the one before.
  if (change.proxy) CO_TRY(co_await apply_proxy(services, caller, workspace, std::move(change.proxy)));
  if (change.allow_internet || change.egress || change.egress_ports) {
    net::Egress egress = networks.egress(workspace);
    if (change.allow_internet) {
      egress.internet.reset();
      if (*change.allow_internet) egress.internet = model::OpenInternet();
      // "No internet" means none, whatever was listed before.
      if (!*change.allow_internet && !change.egress) egress.entries.clear();
    }
    if (change.egress) egress.entries = std::move(*change.egress);
    if (change.egress_ports) egress.ports = std::move(*change.egress_ports);
    if (egress != networks.egress(workspace))
      CO_TRY(co_await networks.set_egress(workspace, std::move(egress), caller.who.origin()));
  }
  if (change.outbound == OutboundMode::managed) {
    std::optional<ProxyWish> none;
    CO_TRY(co_await apply_proxy(services, caller, workspace, std::move(none)));
  }
  if (change.ingress_ports && *change.ingress_ports != networks.ingress_ports(workspace)) {
    CO_TRY(co_await networks.set_ingress_ports(workspace, std::move(*change.ingress_ports), caller.who.origin()));
  }
  if (change.ingress_ports || change.private_link_ids) {
    CO_TRY(co_await set_contract_links(services, caller, workspace, std::move(change.private_link_ids)));
  }
  co_return Status{};
}

json::object network_to_json(Services& services, const Caller& caller, const std::string& workspace) {
  const auto& networks = services.networks;
  const auto& egress = networks.egress(workspace);
  const auto pair = networks.pair(workspace);
  json::array links;
  for (const auto& [id, link] : networks.links()) {
    if (link.target != workspace && link.source != workspace) continue;
    const bool out = link.source == workspace;
    const std::string& other = out ? link.target : link.source;
    json::object shown{{"id", id}, {"direction", out ? "out" : "in"}, {"ports", ports_to_json(link.ports)}};
    // Of a workspace that the caller may not see, the id is all that is told.
    shown["workspace_id"] = other;
    shown["name"] = nullptr;
    shown["ip"] = nullptr;
    const auto info = services.manager.get(other);
    if (info && caller.who.sees(info->id, info->spec.namespace_id)) {
      shown["name"] = info->spec.name;
      if (const auto address = networks.pair(other)) shown["ip"] = address->guest.text();
    }
    links.emplace_back(std::move(shown));
  }
  const auto exposed = networks.exposures(workspace);
  json::object object{{"ip", nullptr},
                      {"gateway", nullptr},
                      {"public_access", !exposed.empty()},
                      {"allow_internet", egress.internet.has_value()},
                      {"ingress", json::array{}},
                      {"ingress_ports", ports_to_json(networks.ingress_ports(workspace))},
                      {"egress", to_array(egress.entries)},
                      {"egress_ports", ports_to_json(egress.ports)},
                      {"outbound_ip", nullptr},
                      {"outbound_mode", networks.proxy(workspace) ? "custom" : "managed"},
                      {"gate", networks.gate_runs()},
                      {"private_links", std::move(links)}};
  if (const auto& proxy = networks.proxy(workspace)) {
    const bool has_login = proxy->login != nullptr || proxy->state == net::Proxy::Login::unreadable;
    object["outbound_proxy"] =
        json::object{{"host", proxy->host},
                     {"port", proxy->port},
                     {"protocol", json::string_view(kProxyProtocol.data(), kProxyProtocol.size())},
                     {"has_credentials", has_login},
                     {"resolves", proxy->target == gate::ProxyTarget::name}};
  }
  if (pair) {
    object["ip"] = pair->guest.text();
    object["gateway"] = pair->gateway.text();
  }
  return object;
}

}  // namespace cofferdam::api

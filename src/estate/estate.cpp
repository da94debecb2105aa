#include "estate/estate.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <tuple>

#include "base/text.h"
#include "estate/json_values.h"
#include "model/json.h"

namespace cofferdam::estate {
namespace {

namespace json = boost::json;

json::object to_json(const Namespace& space) {
  return {{"slug", space.slug},
          {"name", space.name},
          {"description", space.description},
          {"type", space.type},
          {"max_workspaces", or_null(space.max_workspaces)},
          {"max_vcpus", or_null(space.max_vcpus)},
          {"max_ram_mb", or_null(space.max_ram_mb)},
          {"max_disk_gb", or_null(space.max_disk_gb)}};
}

json::object to_json(const ExposedPort& port) {
  return {{"port", port.port},
          {"slug", port.slug},
          {"label", port.label},
          {"token", port.visitors == Visitors::token_holders}};
}

json::object to_json(const Proxy& proxy) {
  return {{"host", proxy.host},
          {"port", proxy.port},
          {"resolves", proxy.told == Proxy::Told::names},
          {"login", proxy.login == Proxy::Login::some}};
}

json::object to_json(const Image& image) { return {{"name", image.name}, {"digest", image.digest}}; }
json::object to_json(const Link& link) {
  return {{"from", link.from}, {"to", link.to}, {"ports", link.ports}, {"note", link.note}};
}
json::object to_json(const Secret& secret) { return {{"namespace", secret.space}, {"name", secret.name}}; }
json::object to_json(const Token& token) {
  return {{"label", token.label},
          {"kind", token.kind},
          {"scope", token.scope},
          {"namespace", token.space},
          {"workspaces", to_array(token.workspaces)},
          {"verbs", to_array(token.verbs)},
          {"sources", to_array(token.sources)}};
}

template <class Items>
json::array each(const Items& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(to_json(item));
  return array;
}

template <class Items, class Key>
void sort_by(Items& items, const Key& key) {
  std::sort(items.begin(), items.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
}

}  // namespace

void sort(Estate& estate) {
  sort_by(estate.namespaces, [](const Namespace& item) { return item.slug; });
  sort_by(estate.images, [](const Image& item) { return item.name; });
  sort_by(estate.workspaces, [](const Workspace& item) { return item.spec.name; });
  for (auto& workspace : estate.workspaces) {
    sort_by(workspace.env, [](const EnvItem& item) { return item.name; });
    sort_by(workspace.exposed, [](const ExposedPort& item) { return item.port; });
  }
  sort_by(estate.links, [](const Link& item) { return std::tie(item.from, item.to, item.ports, item.note); });
  sort_by(estate.secrets, [](const Secret& item) { return std::tie(item.space, item.name); });
  sort_by(estate.tokens, [](const Token& item) {
    return std::tie(item.label, item.kind, item.scope, item.space, item.workspaces, item.verbs, item.sources);
  });
}

json::object to_json(const Workspace& workspace) {
  json::object object = model::workspace_spec_to_json(workspace.spec);
  json::array env;
  for (const auto& item : workspace.env) {
    env.emplace_back(
        json::object{{"name", item.name}, {"value", item.value ? json::value(*item.value) : json::value(nullptr)}});
  }
  object["environment"] = std::move(env);
  object["internet"] = workspace.internet == Workspace::Internet::open;
  object["egress"] = to_array(workspace.egress);
  object["egress_ports"] = workspace.egress_ports;
  object["proxy"] = workspace.proxy ? json::value(to_json(*workspace.proxy)) : json::value();
  object["exposed"] = each(workspace.exposed);
  object["ready_check"] =
      workspace.ready_check ? json::value(model::ready_check_to_json(*workspace.ready_check)) : json::value();
  return object;
}

json::object to_json(const Estate& estate) {
  return {{"namespaces", each(estate.namespaces)},
          {"images", each(estate.images)},
          {"workspaces", each(estate.workspaces)},
          {"links", each(estate.links)},
          {"secrets", each(estate.secrets)},
          {"tokens", each(estate.tokens)},
          {"alert_rules", to_array(estate.alert_rules)}};
}

}  // namespace cofferdam::estate

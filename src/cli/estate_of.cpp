#include "cli/estate_of.h"

#include <boost/json/array.hpp>
#include <map>

#include "base/text.h"
#include "cli/simple_call.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr int kPage = 200;
constexpr double kPerWhole = 1000.0;

std::vector<std::string> texts_of(const json::object& object, std::string_view field) {
  std::vector<std::string> texts;
  for (const auto& item : array_field(object, field)) {
    if (item.is_string()) texts.emplace_back(item.get_string());
  }
  return texts;
}

// [443, "8000-8080"] as "443,8000-8080".
std::string ports_of(const json::object& object, std::string_view field) {
  std::string text;
  for (const auto& item : array_field(object, field)) {
    const auto one =
        item.is_string() ? std::string(item.get_string()) : cat(item.is_number() ? item.to_number<std::int64_t>() : 0);
    text += cat(text.empty() ? "" : ",", one);
  }
  return text;
}

std::optional<std::uint64_t> limit_of(const json::object& limits, std::string_view field) {
  const auto* value = limits.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<std::uint64_t>();
}

std::optional<std::chrono::milliseconds> seconds_of(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return std::chrono::milliseconds(std::llround(value->to_number<double>() * kPerWhole));
}

estate::Namespace namespace_of(const json::object& object) {
  estate::Namespace space;
  space.slug = text_field(object, "slug");
  space.name = text_field(object, "name");
  space.description = text_field(object, "description");
  space.type = text_field(object, "type");
  const auto& limits = object_field(object, "resource_limits");
  space.max_workspaces = limit_of(limits, "max_workspaces");
  space.max_vcpus = limit_of(limits, "max_vcpus");
  space.max_ram_mb = limit_of(limits, "max_ram_mb");
  space.max_disk_gb = limit_of(limits, "max_disk_gb");
  return space;
}

Result<estate::Workspace> workspace_of(const json::object& object) {
  estate::Workspace workspace;
  auto& spec = workspace.spec;
  const auto& config = object_field(object, "config");
  spec.name = text_field(object, "name");
  spec.slug = text_field(object, "slug");
  spec.logo = text_field(object, "logo");
  spec.namespace_id = text_field(object, "namespace");
  spec.image = text_field(object, "image");
  spec.mode = text_field(object, "mode") == "permanent" ? model::Mode::permanent : model::Mode::temporary;
  spec.cpu_millis = static_cast<std::uint32_t>(std::llround(number_field(config, "cpus") * kPerWhole));
  spec.memory_mib = static_cast<std::uint32_t>(whole_field(config, "memory_mb"));
  spec.disk_mib = static_cast<std::uint32_t>(whole_field(config, "disk_size_mb"));
  spec.ttl = seconds_of(config, "ttl");
  TRY_ASSIGN(spec.ttl_action, model::parse_ttl_action(text_field(config, "ttl_action")));
  spec.on_exit = flag_field(config, "remove_on_exit") ? model::OnExit::remove : model::OnExit::keep;
  TRY_ASSIGN(spec.restart_policy, model::parse_restart_policy(text_field(config, "restart_policy")));
  spec.max_restarts = static_cast<std::uint32_t>(whole_field(config, "max_restarts"));
  if (const auto* idle = config.if_contains("idle"); idle != nullptr && idle->is_object()) {
    spec.idle = model::IdlePolicy{seconds_of(idle->get_object(), "suspend_after"),
                                  seconds_of(idle->get_object(), "stop_after")};
  }
  spec.secrets = texts_of(config, "secrets");
  for (auto& name : texts_of(config, "env_names")) workspace.env.push_back({std::move(name), std::nullopt});
  return workspace;
}

Task<void> add_details(Api& api, estate::Workspace& workspace, std::string id) {
  CO_TRY_ASSIGN(const auto notes, co_await api.get(workspace_target(id, "/metadata")));
  CO_TRY_ASSIGN(workspace.spec.metadata, model::metadata_from_json(object_field(notes, "metadata")));
  CO_TRY_ASSIGN(const auto network, co_await api.get(workspace_target(id, "/network")));
  workspace.egress = texts_of(network, "egress");
  workspace.egress_ports = ports_of(network, "egress_ports");
  if (flag_field(network, "allow_internet")) workspace.internet = estate::Workspace::Internet::open;
  if (const auto& proxy = object_field(network, "outbound_proxy"); !proxy.empty()) {
    workspace.proxy = estate::Proxy{text_field(proxy, "host"), static_cast<std::uint16_t>(whole_field(proxy, "port"))};
    if (flag_field(proxy, "resolves")) workspace.proxy->told = estate::Proxy::Told::names;
    if (flag_field(proxy, "has_credentials")) workspace.proxy->login = estate::Proxy::Login::some;
  }
  CO_TRY_ASSIGN(const auto ready, co_await api.get(workspace_target(id, "/ready-check")));
  if (const auto& check = object_field(ready, "ready_check"); !check.empty()) {
    workspace.ready_check =
        model::ReadyCheck{texts_of(check, "command"), std::chrono::seconds(whole_field(check, "timeout_seconds"))};
  }
  CO_TRY_ASSIGN(const auto exposed, co_await api.get(workspace_target(id, "/public-access")));
  for (const auto& item : array_field(exposed, "ports")) {
    if (!item.is_object()) continue;
    const auto& object = item.get_object();
    estate::ExposedPort port;
    port.port = static_cast<std::uint16_t>(whole_field(object, "port"));
    port.slug = text_field(object, "slug");
    port.label = text_field(object, "label");
    port.visitors = flag_field(object, "protected") ? estate::Visitors::token_holders : estate::Visitors::anybody;
    workspace.exposed.push_back(std::move(port));
  }
  co_return Status{};
}

}  // namespace

Task<Found> ask_for_estate(Session& session) {
  Api api(session);
  Found found;
  auto& estate = found.estate;
  for (int offset = 0;; offset += kPage) {
    CO_TRY_ASSIGN(const auto page, co_await api.get(cat("/namespaces?limit=", kPage, "&offset=", offset)));
    const auto& data = array_field(page, "data");
    for (const auto& item : data) {
      if (item.is_object()) estate.namespaces.push_back(namespace_of(item.get_object()));
    }
    if (data.size() < kPage) break;
  }
  CO_TRY_ASSIGN(const auto images, co_await api.get("/workspace/images"));
  for (const auto& item : array_field(images, "images")) {
    if (!item.is_object() || !flag_field(item.get_object(), "built")) continue;
    estate.images.push_back({text_field(item.get_object(), "image"), text_field(item.get_object(), "id")});
  }
  std::map<std::string, std::string> names;  // of workspaces, by id
  CO_TRY_ASSIGN(const auto workspaces, co_await api.get("/workspace"));
  for (const auto& item : array_field(workspaces, "workspaces")) {
    if (!item.is_object()) continue;
    const auto id = text_field(item.get_object(), "id");
    CO_TRY_ASSIGN(auto workspace, workspace_of(item.get_object()));
    if (workspace.spec.name.empty()) {
      found.left_out.push_back(cat("the workspace ", id, " has no name"));
      continue;
    }
    CO_TRY(co_await add_details(api, workspace, id));
    names[id] = workspace.spec.name;
    estate.workspaces.push_back(std::move(workspace));
  }
  CO_TRY_ASSIGN(const auto links, co_await api.get("/links"));
  for (const auto& item : array_field(links, "links")) {
    if (!item.is_object()) continue;
    const auto& object = item.get_object();
    const auto from = names.find(text_field(object, "from"));
    const auto to = names.find(text_field(object, "to"));
    if (from == names.end() || to == names.end()) {
      found.left_out.push_back(cat("the link ", text_field(object, "id"), " is with a workspace without a name"));
      continue;
    }
    estate.links.push_back(
        {from->second, to->second, ports_of(object, "ports"), text_field(object, "note"), text_field(object, "id")});
  }
  for (const auto& space : estate.namespaces) {
    CO_TRY_ASSIGN(const auto secrets, co_await api.get(cat("/secrets", namespace_query(space.slug))));
    for (const auto& item : array_field(secrets, "secrets")) {
      if (item.is_object()) estate.secrets.push_back({space.slug, text_field(item.get_object(), "name")});
    }
  }
  CO_TRY_ASSIGN(const auto tokens, co_await api.get("/tokens"));
  for (const auto& item : array_field(tokens, "tokens")) {
    if (!item.is_object()) continue;
    const auto& object = item.get_object();
    estate::Token token;
    token.label = text_field(object, "label");
    token.kind = text_field(object, "kind");
    token.scope = text_field(object, "scope");
    token.space = text_field(object, "namespace");
    token.verbs = texts_of(object, "verbs");
    token.sources = texts_of(object, "sources");
    for (const auto& id : texts_of(object, "workspaces")) {
      const auto name = names.find(id);
      token.workspaces.push_back(name == names.end() ? id : name->second);
    }
    estate.tokens.push_back(std::move(token));
  }
  // They are the host's: who may see a part of it alone exports the rest.
  const auto rules = co_await api.get("/alerts/rules");
  if (!rules) found.left_out.push_back(cat("the alert rules: ", rules.error().message));
  for (const auto& item : rules ? array_field(*rules, "rules") : json::array()) {
    if (!item.is_object() || flag_field(item.get_object(), "default")) continue;
    estate.alert_rules.push_back(text_field(item.get_object(), "text"));
  }
  estate::sort(estate);
  co_return found;
}

}  // namespace cofferdam::cli

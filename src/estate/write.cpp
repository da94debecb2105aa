// The text of an installation's file.
#include "base/text.h"
#include "estate/estate.h"
#include "estate/yaml.h"

namespace cofferdam::estate {
namespace {

constexpr double kPerWhole = 1000.0;

// A mapping that is being written; what is empty is left out.
class Writer {
 public:
  Writer() : yaml_(Yaml::map()) {}
  Yaml take() { return std::move(yaml_); }

  void add(std::string key, Yaml value) { yaml_.entries.push_back({Yaml::word(std::move(key)), std::move(value)}); }
  template <class Items, class Body>
  void list(const char* key, const Items& items, const Body& body) {
    if (items.empty()) return;
    Yaml all = Yaml::list();
    for (const auto& item : items) {
      Writer one;
      body(one, item);
      all.items.push_back(one.take());
    }
    add(key, std::move(all));
  }
  void text(const char* key, const std::string& value) {
    if (!value.empty()) add(key, Yaml::quoted(value));
  }
  void word(const char* key, std::string_view value) { add(key, Yaml::word(std::string(value))); }
  void number(const char* key, std::uint64_t value) { word(key, cat(value)); }
  // In thousandths, written as a decimal.
  void decimal(const char* key, std::uint64_t thousandths) {
    word(key, cat(static_cast<double>(thousandths) / kPerWhole));
  }
  void period(const char* key, const std::optional<std::chrono::milliseconds>& value) {
    if (value) word(key, cat(value->count(), "ms"));
  }
  void limit(const char* key, const std::optional<std::uint64_t>& value) {
    if (value) number(key, *value);
  }
  void flag(const char* key, bool value) {
    if (value) word(key, "true");
  }
  void texts(const char* key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    Yaml all = Yaml::list();
    for (const auto& value : values) all.items.push_back(Yaml::quoted(value));
    add(key, std::move(all));
  }
  // With any text as its key; nullopt is a null.
  void entry(const std::string& key, const std::optional<std::string>& value) {
    yaml_.entries.push_back({Yaml::quoted(key), value ? Yaml::quoted(*value) : Yaml()});
  }

 private:
  Yaml yaml_;
};

void write_namespace(Writer& to, const Namespace& space) {
  to.text("slug", space.slug);
  to.text("name", space.name);
  to.text("description", space.description);
  to.word("type", space.type);
  to.limit("max_workspaces", space.max_workspaces);
  to.limit("max_vcpus", space.max_vcpus);
  to.limit("max_ram_mb", space.max_ram_mb);
  to.limit("max_disk_gb", space.max_disk_gb);
}

void write_life(Writer& to, const model::WorkspaceSpec& spec) {
  to.period("ttl", spec.ttl);
  to.word("ttl_action", model::ttl_action_name(spec.at_end_of_ttl()));
  to.flag("remove_on_exit", spec.on_exit == model::OnExit::remove);
  to.word("restart_policy", model::restart_policy_name(spec.restart_policy));
  if (spec.max_restarts != 0) to.number("max_restarts", spec.max_restarts);
  if (!spec.idle) return;
  Writer idle;
  idle.period("suspend_after", spec.idle->suspend_after);
  idle.period("stop_after", spec.idle->stop_after);
  to.add("idle", idle.take());
}

void write_workspace(Writer& to, const Workspace& workspace) {
  const auto& spec = workspace.spec;
  to.text("name", spec.name);
  to.text("slug", spec.slug);
  to.text("logo", spec.logo);
  to.text("namespace", spec.namespace_id);
  to.text("image", spec.image);
  to.word("mode", spec.mode == model::Mode::permanent ? "permanent" : "temporary");
  to.decimal("cpus", spec.cpu_millis);
  to.number("memory_mb", spec.memory_mib);
  to.number("disk_size_mb", spec.disk_mib);
  write_life(to, spec);
  if (!workspace.env.empty()) {
    Writer items;
    for (const auto& item : workspace.env) items.entry(item.name, item.value);
    to.add("env", items.take());
  }
  to.texts("secrets", spec.secrets);
  if (!spec.metadata.empty()) {
    Writer items;
    for (const auto& [key, value] : spec.metadata) items.entry(key, value);
    to.add("metadata", items.take());
  }
  to.flag("internet", workspace.internet == Workspace::Internet::open);
  to.texts("egress", workspace.egress);
  to.text("egress_ports", workspace.egress_ports);
  if (workspace.proxy) {
    Writer proxy;
    proxy.text("host", workspace.proxy->host);
    proxy.number("port", workspace.proxy->port);
    proxy.flag("resolves", workspace.proxy->told == Proxy::Told::names);
    proxy.flag("login", workspace.proxy->login == Proxy::Login::some);
    to.add("proxy", proxy.take());
  }
  to.list("exposed", workspace.exposed, [](Writer& one, const ExposedPort& port) {
    one.number("port", port.port);
    one.text("slug", port.slug);
    one.text("label", port.label);
    one.flag("token", port.visitors == Visitors::token_holders);
  });
  if (!workspace.ready_check) return;
  Writer check;
  check.texts("command", workspace.ready_check->command);
  check.period("timeout", workspace.ready_check->limit);
  to.add("ready_check", check.take());
}

}  // namespace

std::string write(const Estate& estate) {
  Writer to;
  to.number("version", kVersion);
  to.list("namespaces", estate.namespaces, write_namespace);
  to.list("images", estate.images, [](Writer& one, const Image& image) {
    one.text("name", image.name);
    one.text("digest", image.digest);
  });
  to.list("workspaces", estate.workspaces, write_workspace);
  to.list("links", estate.links, [](Writer& one, const Link& link) {
    one.text("from", link.from);
    one.text("to", link.to);
    one.text("ports", link.ports);
    one.text("note", link.note);
  });
  to.list("secrets", estate.secrets, [](Writer& one, const Secret& secret) {
    one.text("namespace", secret.space);
    one.text("name", secret.name);
  });
  to.list("tokens", estate.tokens, [](Writer& one, const Token& token) {
    one.text("label", token.label);
    one.word("kind", token.kind);
    one.word("scope", token.scope);
    one.text("namespace", token.space);
    one.texts("workspaces", token.workspaces);
    one.texts("verbs", token.verbs);
    one.texts("sources", token.sources);
  });
  to.texts("alert_rules", estate.alert_rules);
  return format_yaml(to.take());
}

}  // namespace cofferdam::estate

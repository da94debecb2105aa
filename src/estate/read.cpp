// Reads an installation's file, strictly.
#include <algorithm>
#include <set>

#include "base/dns_name.h"
#include "base/text.h"
#include "estate/estate.h"
#include "estate/yaml_reader.h"

namespace cofferdam::estate {
namespace {

constexpr std::uint64_t kMaxLimit = 1ULL << 40;
constexpr std::uint64_t kMaxMib = 1U << 30;
constexpr std::uint64_t kMaxPort = 65'535;
constexpr std::uint64_t kMaxRestarts = 1000;

class EstateReader {
 public:
  explicit EstateReader(const std::string& file) : file_(file), yaml_(file) {}

  Result<Estate> read(std::string_view text) {
    TRY_ASSIGN(const Yaml root, parse_yaml(text, file_));
    TRY(check_version(root));
    TRY(yaml_.mapping(root, "the file",
                      {{"version", [](const Yaml&) -> Status { return {}; }},
                       {"namespaces", list("namespaces", &EstateReader::read_namespace)},
                       {"images", list("images", &EstateReader::read_image)},
                       {"workspaces", list("workspaces", &EstateReader::read_workspace)},
                       {"links", list("links", &EstateReader::read_link)},
                       {"secrets", list("secrets", &EstateReader::read_secret)},
                       {"tokens", list("tokens", &EstateReader::read_token)},
                       {"alert_rules", [this](const Yaml& node) { return read_alert_rules(node); }}}));
    TRY(check_links());
    sort(estate_);
    return std::move(estate_);
  }

 private:
  using ReadItem = Status (EstateReader::*)(const Yaml&);
  using Field = YamlReader::Field;

  Field list(const char* what, ReadItem read_item) {
    return [this, what, read_item](const Yaml& node) -> Status {
      if (node.kind == Yaml::Kind::null) return {};
      return yaml_.items(node, what, [this, read_item](const Yaml& item) { return (this->*read_item)(item); });
    };
  }
  template <class Target>
  Field whole(Target& target, const char* what, std::uint64_t max) {
    return [this, &target, what, max](const Yaml& node) -> Status {
      TRY_ASSIGN(const auto value, yaml_.number(node, what, max));
      if constexpr (std::is_integral_v<Target>) {
        target = static_cast<Target>(value);
      } else {
        target = value;
      }
      return {};
    };
  }
  Field period(std::optional<std::chrono::milliseconds>& target, const char* what) {
    return [this, &target, what](const Yaml& node) -> Status {
      TRY_ASSIGN(target, yaml_.period(node, what));
      return {};
    };
  }
  template <class Take>
  Field flag(const char* what, Take take) {
    return [this, what, take](const Yaml& node) -> Status {
      TRY_ASSIGN(const bool on, yaml_.flag(node, what));
      take(on);
      return {};
    };
  }
  // One of a few words, parsed by `parse`.
  template <class Target, class Parse>
  Field parsed(Target& target, const char* what, Parse parse) {
    return [this, &target, what, parse](const Yaml& node) -> Status {
      TRY_ASSIGN(const auto word, yaml_.text(node, what));
      auto value = parse(word);
      if (!value) return yaml_.bad(node.mark, cat(what, ": ", value.error().message));
      target = *value;
      return {};
    };
  }
  Field words(std::string& target, const char* what, std::vector<std::string> known) {
    return [this, &target, what, known = std::move(known)](const Yaml& node) -> Status {
      TRY_ASSIGN(target, yaml_.one_of(node, what, known));
      return {};
    };
  }
  Status needed(const Yaml& node, const std::string& value, std::string_view what) const {
    if (!value.empty()) return {};
    return yaml_.bad(node.mark, cat(what, " is missing"));
  }
  Status only_once(const Yaml& node, std::set<std::string>& seen, const std::string& key, std::string_view what) const {
    if (seen.insert(key).second) return {};
    return yaml_.bad(node.mark, cat(what, " '", key, "' is given twice"));
  }

  Status check_version(const Yaml& root) const {
    if (root.kind != Yaml::Kind::map) return yaml_.bad(root.mark, "the file must be a mapping");
    const auto found = std::find_if(root.entries.begin(), root.entries.end(),
                                    [](const auto& entry) { return entry.first.text == "version"; });
    if (found == root.entries.end()) return yaml_.bad(root.mark, "'version' is missing");
    const Yaml& version = found->second;
    TRY_ASSIGN(const auto number, yaml_.number(version, "version", INT64_MAX));
    if (number > kVersion) {
      return yaml_.bad(version.mark, cat("version ", number, " is of a newer program; this one knows ", kVersion));
    }
    if (number != kVersion) return yaml_.bad(version.mark, cat("version must be ", kVersion));
    return {};
  }

  Status read_namespace(const Yaml& node) {
    Namespace space;
    TRY(yaml_.mapping(
        node, "a namespace",
        {{"slug", yaml_.into(space.slug, "slug")},
         {"name", yaml_.into(space.name, "name")},
         {"description", yaml_.into(space.description, "description")},
         {"type", words(space.type, "type", {"default", "production", "staging", "development", "testing"})},
         {"max_workspaces", whole(space.max_workspaces, "max_workspaces", kMaxLimit)},
         {"max_vcpus", whole(space.max_vcpus, "max_vcpus", kMaxLimit)},
         {"max_ram_mb", whole(space.max_ram_mb, "max_ram_mb", kMaxLimit)},
         {"max_disk_gb", whole(space.max_disk_gb, "max_disk_gb", kMaxLimit)}}));
    TRY(needed(node, space.slug, "slug"));
    if (space.name.empty()) space.name = space.slug;
    TRY(only_once(node, namespaces_, space.slug, "the namespace"));
    estate_.namespaces.push_back(std::move(space));
    return {};
  }

  Status read_image(const Yaml& node) {
    Image image;
    TRY(yaml_.mapping(node, "an image",
                      {{"name", yaml_.into(image.name, "name")}, {"digest", yaml_.into(image.digest, "digest")}}));
    TRY(needed(node, image.name, "name"));
    TRY(only_once(node, images_, image.name, "the image"));
    estate_.images.push_back(std::move(image));
    return {};
  }

  Status read_idle(const Yaml& node, std::optional<model::IdlePolicy>& target) {
    model::IdlePolicy idle;
    TRY(yaml_.mapping(node, "idle",
                      {{"suspend_after", period(idle.suspend_after, "suspend_after")},
                       {"stop_after", period(idle.stop_after, "stop_after")}}));
    if (auto good = model::validate(idle); !good) return yaml_.bad(node.mark, good.error().message);
    target = idle;
    return {};
  }

  Status read_env(const Yaml& node, Workspace& workspace) {
    return yaml_.entries(node, "env", [&](const std::string& key, const Yaml& value) -> Status {
      EnvItem item{key, std::nullopt};
      if (value.kind != Yaml::Kind::null) {
        TRY_ASSIGN(item.value, yaml_.text(value, key));
      }
      if (!model::is_env_item(cat(key, "="))) {
        return yaml_.bad(value.mark, cat("'", key, "' is no name of an environment variable"));
      }
      workspace.env.push_back(std::move(item));
      return {};
    });
  }

  Status read_exposed(const Yaml& node, Workspace& workspace) {
    ExposedPort port;
    std::uint64_t number = 0;
    TRY(yaml_.mapping(node, "an exposed port",
                      {{"port", whole(number, "port", kMaxPort)},
                       {"slug", yaml_.into(port.slug, "slug")},
                       {"label", yaml_.into(port.label, "label")},
                       {"token", flag("token", [&port](bool on) {
                          port.visitors = on ? Visitors::token_holders : Visitors::anybody;
                        })}}));
    if (number == 0) return yaml_.bad(node.mark, "port is missing");
    port.port = static_cast<std::uint16_t>(number);
    TRY(needed(node, port.slug, "slug"));
    TRY(only_once(node, slugs_, port.slug, "the slug"));
    for (const auto& other : workspace.exposed) {
      if (other.port == port.port) return yaml_.bad(node.mark, cat("port ", number, " is given twice"));
    }
    workspace.exposed.push_back(std::move(port));
    return {};
  }

  Status read_proxy(const Yaml& node, std::optional<Proxy>& target) {
    Proxy proxy;
    // What stands there is repeated by no error: it may be a login that was put into the wrong place.
    const auto host = [this, &proxy](const Yaml& value) -> Status {
      TRY_ASSIGN(const auto text, yaml_.text(value, "host"));
      auto name = public_host(text);
      if (!name) return yaml_.bad(value.mark, "host must be a public name or an address, and nothing else");
      proxy.host = std::move(*name);
      return {};
    };
    const auto login = [this, &proxy](const Yaml& value) -> Status {
      const auto some = yaml_.flag(value, "login");
      if (!some) {
        return yaml_.bad(value.mark,
                         "login says whether there is one, true or false; set it with `coffer network proxy --login`");
      }
      proxy.login = *some ? Proxy::Login::some : Proxy::Login::none;
      return {};
    };
    TRY(yaml_.mapping(
        node, "a proxy",
        {{"host", host},
         {"port", whole(proxy.port, "port", kMaxPort)},
         {"resolves",
          flag("resolves", [&proxy](bool on) { proxy.told = on ? Proxy::Told::names : Proxy::Told::addresses; })},
         {"login", login}}));
    TRY(needed(node, proxy.host, "host"));
    if (proxy.port == 0) return yaml_.bad(node.mark, "port is missing");
    target = std::move(proxy);
    return {};
  }

  Status read_ready_check(const Yaml& node, std::optional<model::ReadyCheck>& target) {
    model::ReadyCheck check;
    std::optional<std::chrono::milliseconds> timeout;
    TRY(yaml_.mapping(node, "a ready check",
                      {{"command", yaml_.into(check.command, "command")}, {"timeout", period(timeout, "timeout")}}));
    if (timeout) check.limit = *timeout;
    if (auto good = model::validate(check); !good)
      return yaml_.bad(node.mark, cat("a ready check: ", good.error().message));
    target = std::move(check);
    return {};
  }

  std::map<std::string, Field> life_fields(model::WorkspaceSpec& spec) {
    return {
        {"ttl", period(spec.ttl, "ttl")},
        {"ttl_action", parsed(spec.ttl_action, "ttl_action", model::parse_ttl_action)},
        {"remove_on_exit",
         flag("remove_on_exit", [&spec](bool on) { spec.on_exit = on ? model::OnExit::remove : model::OnExit::keep; })},
        {"restart_policy", parsed(spec.restart_policy, "restart_policy", model::parse_restart_policy)},
        {"max_restarts", whole(spec.max_restarts, "max_restarts", kMaxRestarts)},
        {"idle", [this, &spec](const Yaml& node) { return read_idle(node, spec.idle); }}};
  }

  std::map<std::string, Field> network_fields(Workspace& workspace) {
    return {{"internet", flag("internet",
                              [&workspace](bool on) {
                                workspace.internet = on ? Workspace::Internet::open : Workspace::Internet::closed;
                              })},
            {"egress", yaml_.into(workspace.egress, "egress")},
            {"egress_ports", yaml_.into(workspace.egress_ports, "egress_ports")},
            {"proxy", [this, &workspace](const Yaml& node) { return read_proxy(node, workspace.proxy); }},
            {"exposed", [this, &workspace](const Yaml& node) {
               return yaml_.items(node, "exposed", [&](const Yaml& item) { return read_exposed(item, workspace); });
             }}};
  }

  Status read_workspace(const Yaml& node) {
    Workspace workspace;
    auto& spec = workspace.spec;
    std::string mode = "temporary";
    std::map<std::string, Field> fields{
        {"name", yaml_.into(spec.name, "name")},
        {"slug", yaml_.into(spec.slug, "slug")},
        {"logo", yaml_.into(spec.logo, "logo")},
        {"namespace", yaml_.into(spec.namespace_id, "namespace")},
        {"image", yaml_.into(spec.image, "image")},
        {"mode", words(mode, "mode", {"temporary", "permanent"})},
        {"cpus",
         [this, &spec](const Yaml& value) -> Status {
           TRY_ASSIGN(spec.cpu_millis, yaml_.thousandths(value, "cpus"));
           return {};
         }},
        {"memory_mb", whole(spec.memory_mib, "memory_mb", kMaxMib)},
        {"disk_size_mb", whole(spec.disk_mib, "disk_size_mb", kMaxMib)},
        {"env", [this, &workspace](const Yaml& value) { return read_env(value, workspace); }},
        {"secrets", yaml_.into(spec.secrets, "secrets")},
        {"ready_check",
         [this, &workspace](const Yaml& value) { return read_ready_check(value, workspace.ready_check); }},
        {"metadata", [this, &spec](const Yaml& value) {
           return yaml_.entries(value, "metadata", [&](const std::string& key, const Yaml& item) -> Status {
             TRY_ASSIGN(spec.metadata[key], yaml_.text(item, key));
             return {};
           });
         }}};
    fields.merge(life_fields(spec));
    fields.merge(network_fields(workspace));
    TRY(yaml_.mapping(node, "a workspace", fields));
    TRY(needed(node, spec.name, "name"));
    TRY(only_once(node, workspaces_, spec.name, "the workspace"));
    if (!spec.slug.empty()) TRY(only_once(node, workspace_slugs_, spec.slug, "the slug"));
    spec.mode = mode == "permanent" ? model::Mode::permanent : model::Mode::temporary;
    if (spec.mode == model::Mode::temporary && !spec.ttl) spec.ttl = model::kDefaultTemporaryTtl;
    spec.ttl_action = spec.at_end_of_ttl();
    if (auto good = model::validate(spec); !good) return yaml_.bad(node.mark, good.error().message);
    estate_.workspaces.push_back(std::move(workspace));
    return {};
  }

  Status read_link(const Yaml& node) {
    Link link;
    TRY(yaml_.mapping(node, "a link",
                      {{"from", yaml_.into(link.from, "from")},
                       {"to", yaml_.into(link.to, "to")},
                       {"ports", yaml_.into(link.ports, "ports")},
                       {"note", yaml_.into(link.note, "note")}}));
    TRY(needed(node, link.from, "from"));
    TRY(needed(node, link.to, "to"));
    TRY(needed(node, link.ports, "ports"));
    if (link.from == link.to) return yaml_.bad(node.mark, cat("a link from '", link.from, "' to itself"));
    TRY(only_once(node, links_, cat(link.from, " -> ", link.to, ":", link.ports), "the link"));
    link_marks_.push_back(node.mark);
    estate_.links.push_back(std::move(link));
    return {};
  }

  Status check_links() const {
    for (std::size_t i = 0; i < estate_.links.size(); ++i) {
      for (const auto& end : {estate_.links[i].from, estate_.links[i].to}) {
        if (workspaces_.count(end) == 0) {
          return yaml_.bad(link_marks_[i], cat("the workspace '", end, "' of this link is not in the file"));
        }
      }
    }
    return {};
  }

  Status read_secret(const Yaml& node) {
    Secret secret;
    TRY(yaml_.mapping(
        node, "a secret",
        {{"namespace", yaml_.into(secret.space, "namespace")}, {"name", yaml_.into(secret.name, "name")}}));
    TRY(needed(node, secret.name, "name"));
    TRY(only_once(node, secrets_, cat(secret.space, "/", secret.name), "the secret"));
    estate_.secrets.push_back(std::move(secret));
    return {};
  }

  Status read_token(const Yaml& node) {
    Token token;
    TRY(yaml_.mapping(node, "a token",
                      {{"label", yaml_.into(token.label, "label")},
                       {"kind", words(token.kind, "kind", {"control", "runtime"})},
                       {"scope", words(token.scope, "scope", {"account", "namespace", "workspace"})},
                       {"namespace", yaml_.into(token.space, "namespace")},
                       {"workspaces", yaml_.into(token.workspaces, "workspaces")},
                       {"verbs", yaml_.into(token.verbs, "verbs")},
                       {"sources", yaml_.into(token.sources, "sources")}}));
    TRY(needed(node, token.kind, "kind"));
    TRY(needed(node, token.scope, "scope"));
    estate_.tokens.push_back(std::move(token));
    return {};
  }

  Status read_alert_rules(const Yaml& node) {
    TRY_ASSIGN(estate_.alert_rules, yaml_.texts(node, "alert_rules"));
    if (estate_.alert_rules.size() > kMaxAlertRules) {
      return yaml_.bad(node.mark, cat("there are more than ", kMaxAlertRules, " alert_rules"));
    }
    for (std::size_t i = 0; i < estate_.alert_rules.size(); ++i) {
      const auto& rule = estate_.alert_rules[i];
      const bool line = !rule.empty() && rule.size() <= kMaxAlertRule &&
                        std::none_of(rule.begin(), rule.end(), [](unsigned char c) { return c < ' ' || c == ','; });
      if (!line) return yaml_.bad(node.items[i].mark, "an alert rule is one line such as \"cpu over=95 for=300s\"");
    }
    return {};
  }

  std::string file_;
  YamlReader yaml_;
  Estate estate_;
  std::set<std::string> namespaces_, images_, workspaces_, workspace_slugs_, slugs_, links_, secrets_;
  std::vector<Mark> link_marks_;  // of the links, in the order of the file
};

}  // namespace

Result<Estate> read(std::string_view text, const std::string& file) {
  if (text.size() > kMaxFileBytes) {
    return fail(Code::InvalidArgument, cat(file, ": is larger than ", kMaxFileBytes, " bytes"));
  }
  return EstateReader(file).read(text);
}

}  // namespace cofferdam::estate

#include "estate/plan.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <tuple>

#include "base/dns_name.h"
#include "base/text.h"
#include "estate/json_values.h"
#include "model/json.h"

namespace cofferdam::estate {
namespace {

namespace json = boost::json;

constexpr double kMsPerSecond = 1000.0;

template <class Items, class Fits>
auto find(const Items& items, const Fits& fits) {
  const auto found = std::find_if(items.begin(), items.end(), fits);
  return found == items.end() ? nullptr : &*found;
}

json::object limits_of(const Namespace& space) {
  return {{"max_workspaces", or_null(space.max_workspaces)},
          {"max_vcpus", or_null(space.max_vcpus)},
          {"max_ram_mb", or_null(space.max_ram_mb)},
          {"max_disk_gb", or_null(space.max_disk_gb)}};
}

json::array ports_of(const std::string& ports) {
  json::array array;
  for (const auto& part : split(ports, ',')) {
    const auto number = parse_int("port", part, 1, 65'535);
    if (number) {
      array.emplace_back(*number);
    } else if (!part.empty()) {
      array.emplace_back(part);
    }
  }
  return array;
}

class Planner {
 public:
  Planner(const Estate& have, const Estate& want) : have_(have), want_(want) {}

  Plan make() {
    for (const auto& space : want_.namespaces) plan_namespace(space);
    for (const auto& image : want_.images) compare_image(image);
    for (const auto& secret : want_.secrets) compare_secret(secret);
    for (const auto& workspace : want_.workspaces) plan_workspace(workspace);
    plan_links();
    for (const auto& token : want_.tokens) compare_token(token);
    compare_alert_rules();
    return std::move(plan_);
  }

 private:
  void act(std::string what, std::string method, std::vector<std::string> path, json::object body = {}) {
    plan_.actions.push_back({std::move(what), std::move(method), std::move(path), std::move(body)});
  }
  void by_hand(std::string line) { plan_.by_hand.push_back(std::move(line)); }

  void plan_namespace(const Namespace& space) {
    const auto* now = find(have_.namespaces, [&](const Namespace& item) { return item.slug == space.slug; });
    if (now == nullptr) {
      act(cat("create the namespace '", space.slug, "'"), "POST", {"namespaces"},
          {{"slug", space.slug},
           {"name", space.name},
           {"description", space.description},
           {"type", space.type},
           {"resource_limits", limits_of(space)}});
      return;
    }
    json::object change;
    if (now->name != space.name) change["name"] = space.name;
    if (now->description != space.description) change["description"] = space.description;
    if (now->type != space.type) change["type"] = space.type;
    if (limits_of(*now) != limits_of(space)) change["resource_limits"] = limits_of(space);
    if (!change.empty()) {
      act(cat("change the namespace '", space.slug, "'"), "PUT", {"namespaces", space.slug}, std::move(change));
    }
  }

  void compare_image(const Image& image) {
    const auto* now = find(have_.images, [&](const Image& item) { return item.name == image.name; });
    if (now == nullptr) by_hand(cat("the image '", image.name, "' is not there: coffer image build ", image.name));
    if (now != nullptr && !image.digest.empty() && now->digest != image.digest) {
      by_hand(cat("the image '", image.name, "' is ", now->digest, " here, and was ", image.digest));
    }
  }

  void compare_secret(const Secret& secret) {
    const auto* now =
        find(have_.secrets, [&](const Secret& item) { return item.space == secret.space && item.name == secret.name; });
    if (now == nullptr) {
      by_hand(cat("the secret '", secret.name, "' has no value: coffer secret set ", secret.name, " --namespace ",
                  secret.space));
    }
  }

  void compare_token(const Token& token) {
    const auto same = [&](const Token& item) {
      return std::tie(item.label, item.kind, item.scope, item.space, item.workspaces, item.verbs, item.sources) ==
             std::tie(token.label, token.kind, token.scope, token.space, token.workspaces, token.verbs, token.sources);
    };
    if (find(have_.tokens, same) != nullptr) return;
    std::string verbs;
    for (const auto& verb : token.verbs) verbs += cat(verbs.empty() ? "" : ",", verb);
    by_hand(cat("a ", token.kind, " token '", token.label, "' (", token.scope, ", ", verbs,
                ") is missing: coffer token create"));
  }

  void plan_workspace(const Workspace& workspace) {
    const auto& name = workspace.spec.name;
    const auto* now = find(have_.workspaces, [&](const Workspace& item) { return item.spec.name == name; });
    if (now == nullptr) {
      create(workspace);
    } else {
      change_spec(*now, workspace);
      change_network(*now, workspace);
      change_ready_check(*now, workspace);
    }
    expose(now == nullptr ? Workspace() : *now, workspace);
  }

  void create(const Workspace& workspace) {
    json::object body = model::workspace_spec_to_json(workspace.spec);
    auto& config = body.at("config").as_object();
    json::object env;
    for (const auto& item : workspace.env) {
      if (item.value) env[item.name] = *item.value;
      if (!item.value) {
        by_hand(cat("the workspace '", workspace.spec.name, "' is made without ", item.name,
                    ": its value was not written down; give it in the file before it is made"));
      }
    }
    config["env"] = std::move(env);
    auto network = network_of(workspace);
    if (network == network_of(Workspace())) network.clear();
    if (workspace.proxy) {
      network["outbound_mode"] = "custom";
      network["custom_proxy"] = proxy_to_json(*workspace.proxy);
    }
    if (!network.empty()) config["network_config"] = std::move(network);
    if (workspace.ready_check) config["ready_check"] = model::ready_check_to_json(*workspace.ready_check);
    act(cat("create the workspace '", workspace.spec.name, "'"), "POST", {"workspace"}, std::move(body));
    ask_for_login(Workspace(), workspace);
  }

  static json::object network_of(const Workspace& workspace) {
    return {{"allow_internet", workspace.internet == Workspace::Internet::open},
            {"egress", to_array(workspace.egress)},
            {"egress_ports", ports_of(workspace.egress_ports)}};
  }

  void change_spec(const Workspace& now, const Workspace& workspace) {
    const auto& was = now.spec;
    const auto& is = workspace.spec;
    const auto fixed = [&](std::string_view what) {
      by_hand(cat("the workspace '", is.name, "' has another ", what, ", which cannot be changed: make it anew"));
    };
    // One that is not named is whichever it was made in.
    if (!is.namespace_id.empty() && was.namespace_id != is.namespace_id) fixed("namespace");
    if (was.image != is.image) fixed("image");
    if (was.secrets != is.secrets) fixed("list of secrets");
    if (names_of(now) != names_of(workspace)) fixed("environment");
    if (was.mode != is.mode) {
      const bool permanent = is.mode == model::Mode::permanent;
      act(cat("make the workspace '", is.name, permanent ? "' permanent" : "' temporary"), "POST",
          {"workspace", is.name, "lifecycle", permanent ? "permanent" : "temporary"});
    }
    json::object change;
    if (was.slug != is.slug) change["slug"] = is.slug;
    if (was.logo != is.logo) change["logo"] = is.logo;
    auto config = config_change(was, is);
    if (!config.empty()) change["config"] = std::move(config);
    if (!change.empty()) {
      act(cat("change the workspace '", is.name, "'"), "PUT", {"workspace", is.name}, std::move(change));
    }
    if (was.metadata != is.metadata) {
      act(cat("replace the notes of the workspace '", is.name, "'"), "PUT", {"workspace", is.name, "metadata"},
          {{"metadata", model::metadata_to_json(is.metadata)}});
    }
    if (was.ttl && !is.ttl) fixed("time to live (it had one)");
  }

  static std::vector<std::string> names_of(const Workspace& workspace) {
    std::vector<std::string> names;
    names.reserve(workspace.env.size());
    for (const auto& item : workspace.env) names.push_back(item.name);
    std::sort(names.begin(), names.end());
    return names;
  }

  static json::object config_change(const model::WorkspaceSpec& was, const model::WorkspaceSpec& is) {
    json::object config;
    if (was.cpu_millis != is.cpu_millis) config["cpus"] = is.cpu_millis / kMsPerSecond;
    if (was.memory_mib != is.memory_mib) config["memory_mb"] = is.memory_mib;
    if (was.disk_mib != is.disk_mib) config["disk_size_mb"] = is.disk_mib;
    if (is.ttl && was.ttl != is.ttl) config["ttl"] = static_cast<double>(is.ttl->count()) / kMsPerSecond;
    if (was.at_end_of_ttl() != is.at_end_of_ttl()) config["ttl_action"] = model::ttl_action_name(is.at_end_of_ttl());
    if (was.on_exit != is.on_exit) config["remove_on_exit"] = is.on_exit == model::OnExit::remove;
    if (was.restart_policy != is.restart_policy) {
      config["restart_policy"] = model::restart_policy_name(is.restart_policy);
    }
    if (was.max_restarts != is.max_restarts) config["max_restarts"] = is.max_restarts;
    if (was.idle != is.idle) {
      config["idle"] = nullptr;
      if (is.idle) config["idle"] = model::idle_policy_to_json(*is.idle);
    }
    return config;
  }

  // What is opened goes out by the new proxy; what is closed, by the one before.
  void change_network(const Workspace& now, const Workspace& workspace) {
    const auto& name = workspace.spec.name;
    if (workspace.proxy) change_proxy(now, workspace);
    if (network_of(now) != network_of(workspace)) {
      act(cat("change what the workspace '", name, "' may reach"), "PATCH", {"workspace", name, "network"},
          network_of(workspace));
    }
    if (now.proxy && !workspace.proxy) {
      act(cat("let the workspace '", name, "' go out by no proxy of its own"), "PATCH", {"workspace", name, "network"},
          {{"outbound_mode", "managed"}});
    }
    ask_for_login(now, workspace);
  }

  static bool has_login(const Workspace& now, const Proxy& proxy) {
    return now.proxy && now.proxy->same_place(proxy) && now.proxy->login == Proxy::Login::some;
  }

  static json::object proxy_to_json(const Proxy& proxy) {
    return {{"host", proxy.host}, {"port", proxy.port}, {"resolves", proxy.told == Proxy::Told::names}};
  }

  void change_proxy(const Workspace& now, const Workspace& workspace) {
    const auto& name = workspace.spec.name;
    const auto& proxy = *workspace.proxy;
    const bool wants_login = proxy.login == Proxy::Login::some;
    const bool login_differs = has_login(now, proxy) && !wants_login;
    if (now.proxy && now.proxy->same_place(proxy) && now.proxy->told == proxy.told && !login_differs) return;
    json::object custom = proxy_to_json(proxy);
    // What one proxy was to be shown is nothing for another.
    if (wants_login && has_login(now, proxy)) custom["keep_credentials"] = true;
    act(cat("let the workspace '", name, "' go out by the proxy ", host_and_port(proxy.host, proxy.port),
            login_differs ? ", without the login it had" : ""),
        "PATCH", {"workspace", name, "network"}, {{"outbound_mode", "custom"}, {"custom_proxy", std::move(custom)}});
  }

  void ask_for_login(const Workspace& now, const Workspace& workspace) {
    if (!workspace.proxy || workspace.proxy->login == Proxy::Login::none || has_login(now, *workspace.proxy)) return;
    const auto& proxy = *workspace.proxy;
    const auto place = host_and_port(proxy.host, proxy.port);
    by_hand(cat("the proxy ", place, " of the workspace '", workspace.spec.name,
                "' has no login, which is in no file: coffer network proxy ", workspace.spec.name, " ", place,
                proxy.told == Proxy::Told::names ? " --resolves" : "", " --login FILE"));
  }

  void change_ready_check(const Workspace& now, const Workspace& workspace) {
    const auto& name = workspace.spec.name;
    if (now.ready_check == workspace.ready_check) return;
    if (workspace.ready_check) {
      act(cat("change the ready check of the workspace '", name, "'"), "PUT", {"workspace", name, "ready-check"},
          model::ready_check_to_json(*workspace.ready_check));
    } else {
      act(cat("take the ready check from the workspace '", name, "'"), "DELETE", {"workspace", name, "ready-check"});
    }
  }

  void expose(const Workspace& now, const Workspace& workspace) {
    const auto& name = workspace.spec.name;
    for (const auto& port : now.exposed) {
      const auto* kept = find(workspace.exposed, [&](const ExposedPort& item) { return item.port == port.port; });
      if (kept == nullptr) {
        act(cat("close port ", port.port, " of the workspace '", name, "'"), "DELETE",
            {"workspace", name, "public-access", cat(port.port)});
      }
    }
    for (const auto& port : workspace.exposed) {
      const auto same = [&](const ExposedPort& item) {
        return item.port == port.port && item.slug == port.slug && item.label == port.label &&
               item.visitors == port.visitors;
      };
      if (find(now.exposed, same) != nullptr) continue;
      json::object body{{"port", port.port}, {"slug", port.slug}, {"label", port.label}};
      body["token"] = port.visitors == Visitors::token_holders;
      act(cat("expose port ", port.port, " of the workspace '", name, "'"), "POST",
          {"workspace", name, "public-access"}, std::move(body));
    }
  }

  // Those between workspaces of the file: the file says what is open.
  void plan_links() {
    const auto same = [](const Link& a) {
      return [&a](const Link& b) { return a.from == b.from && a.to == b.to && a.ports == b.ports && a.note == b.note; };
    };
    const auto named = [this](const std::string& name) {
      return find(want_.workspaces, [&](const Workspace& item) { return item.spec.name == name; }) != nullptr;
    };
    for (const auto& link : have_.links) {
      if (find(want_.links, same(link)) != nullptr || !named(link.from) || !named(link.to)) continue;
      act(cat("remove the link from '", link.from, "' to '", link.to, "' port ", link.ports), "DELETE",
          {"links", link.id});
    }
    for (const auto& link : want_.links) {
      if (find(have_.links, same(link)) != nullptr) continue;
      act(cat("link '", link.from, "' to '", link.to, "' port ", link.ports), "POST", {"links"},
          {{"from", link.from}, {"to", link.to}, {"ports", link.ports}, {"note", link.note}});
    }
  }

  void compare_alert_rules() {
    if (want_.alert_rules.empty() || want_.alert_rules == have_.alert_rules) return;
    std::string all;
    for (const auto& rule : want_.alert_rules) all += cat(all.empty() ? "" : ", ", rule);
    plan_.by_hand.push_back(cat("the daemon's configuration has other alert rules: set alerts.rules to: ", all));
  }

  const Estate& have_;
  const Estate& want_;
  Plan plan_;
};

}  // namespace

Plan make_plan(const Estate& have, const Estate& want) { return Planner(have, want).make(); }

}  // namespace cofferdam::estate

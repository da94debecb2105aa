#include "api/create_wish.h"

#include <array>
#include <span>

#include "api/call.h"
#include "api/env_check.h"
#include "api/network_json.h"
#include "api/ready_check.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

// What the hosted service has and this host has not. Nothing, null, false and "" ask for nothing.
struct Missing {
  std::string_view field;
  std::string_view why;
};
constexpr std::array<Missing, 9> kMissingInConfig{{
    {"static_network", "there are no fixed addresses"},
    {"ssh_access", "there is no SSH into workspaces; use a terminal of the runtime, or coffer exec"},
    {"desktop", "there are no desktops"},
    {"macos", "guests run Linux"},
    {"enable_kvm", "guests have no virtualization of their own"},
    {"kernel_id", "the kernel is the image's"},
    {"proxy_assignment_id", "there are no outbound proxies to be assigned; name one in network_config.custom_proxy"},
    {"root_disk_id", "a workspace begins with the disk of its image"},
    {"preset", "there are no presets; give cpus, memory_mb and disk_size_mb"},
}};
constexpr std::array<Missing, 1> kMissingAtTop{{
    {"preset", "there are no presets; give cpus, memory_mb and disk_size_mb"},
}};
constexpr std::string_view kDatabaseType = "database";

bool asks_for_something(const json::value& value) {
  if (const auto* flag = value.if_bool()) return *flag;
  if (const auto* text = value.if_string()) return !text->empty();
  if (const auto* object = value.if_object()) {
    const auto* enabled = object->if_contains("enabled");
    return enabled != nullptr ? asks_for_something(*enabled) : !object->empty();
  }
  return !value.is_null();
}

Status refuse_missing(const json::object& object, std::string_view path, std::span<const Missing> missing) {
  for (const auto& [field, why] : missing) {
    const auto* value = object.if_contains(json::string_view(field.data(), field.size()));
    if (value == nullptr || !asks_for_something(*value)) continue;
    return fail(Code::InvalidArgument, cat(path, "/", field, ": this host has none of it: ", why), "leave it out");
  }
  return {};
}

// What is asked of its network, wherever a client may say it; the innermost word counts.
Result<ReadChange> network_of_create(const json::object& body) {
  TRY_ASSIGN(ReadChange wanted, network_change(body, ""));
  const auto add = [&wanted](ReadChange inner) {
    const auto take = [](auto& target, auto& source) {
      if (source) target = std::move(source);
    };
    take(wanted.change.allow_internet, inner.change.allow_internet);
    take(wanted.change.egress, inner.change.egress);
    take(wanted.change.egress_ports, inner.change.egress_ports);
    take(wanted.change.ingress_ports, inner.change.ingress_ports);
    take(wanted.change.private_link_ids, inner.change.private_link_ids);
    take(wanted.change.outbound, inner.change.outbound);
    take(wanted.change.proxy, inner.change.proxy);
    take(wanted.unsupported, inner.unsupported);
  };
  TRY_ASSIGN(const auto config, get_object(body, "", "config"));
  if (!config) return wanted;
  TRY_ASSIGN(auto outer, network_change(*config, "/config"));
  add(std::move(outer));
  TRY_ASSIGN(const auto network, get_object(*config, "/config", "network_config"));
  if (!network) return wanted;
  TRY_ASSIGN(auto inner, network_change(*network, "/config/network_config"));
  add(std::move(inner));
  return wanted;
}

// A create does not fail for what it asks by habit and this host has not; it is told.
json::array warnings_for(const ReadChange& network) {
  json::array warnings;
  if (network.unsupported) warnings.emplace_back(*network.unsupported);
  if (network.change.allow_internet.value_or(false) &&
      network.change.egress.value_or(std::vector<std::string>()).empty()) {
    warnings.emplace_back("the workspace may reach the whole internet: list in egress what it needs");
  }
  return warnings;
}

Result<std::optional<model::ReadyCheck>> ready_check_of(const json::object& config) {
  TRY_ASSIGN(const auto given, get_object(config, "/config", "ready_check"));
  if (!given) return std::nullopt;
  return ready_check_from(*given, "/config/ready_check");
}

// A workspace is always answered when it runs, so both are always so: only their types are looked at.
Status check_waits(const json::object& body, const json::object& config) {
  TRY(model::get_flag(body, "", "wait_ready"));
  TRY(model::get_flag(config, "/config", "wait_for_init"));
  TRY(model::get_flag(config, "/config", "keep_logs"));
  return {};
}

}  // namespace

Result<CreateWish> read_create_wish(const json::object& body) {
  CreateWish wish;
  TRY_ASSIGN(wish.spec, spec_of_create(body));
  TRY_ASSIGN(const auto key, model::get_string(body, "", "idempotency_key"));
  TRY_ASSIGN(const auto space, model::get_string(body, "", "namespace"));
  TRY_ASSIGN(wish.workloads, workloads_of_create(body));
  TRY_ASSIGN(const auto given, get_object(body, "", "config"));
  const json::object config = given.value_or(json::object{});
  TRY(refuse_missing(body, "", kMissingAtTop));
  TRY(refuse_missing(config, "/config", kMissingInConfig));
  TRY(check_waits(body, config));
  TRY_ASSIGN(wish.ready_check, ready_check_of(config));
  TRY(check_env(wish.spec.env, "/config", body));
  for (std::size_t i = 0; i < wish.workloads.size(); ++i) {
    TRY(check_env(wish.workloads[i].spec.env, cat("/config/workloads/", i), body));
  }
  wish.idempotency_key = key.value_or("");
  wish.space = space.value_or("");
  TRY_ASSIGN(auto network, network_of_create(body));
  wish.warnings = warnings_for(network);
  wish.network = std::move(network.change);
  if (wish.network.allow_internet == false && !wish.network.egress) wish.network.allow_internet.reset();
  TRY_ASSIGN(const auto type, model::get_string(body, "", "type"));
  if (type && !type->empty() && *type != kDatabaseType) {
    return fail(Code::InvalidArgument, cat("/type: this host knows no type but ", kDatabaseType), "leave it out");
  }
  // What keeps such a workspace from being exposed.
  if (type == kDatabaseType) wish.spec.metadata.emplace("type", *type);
  return wish;
}

}  // namespace cofferdam::api

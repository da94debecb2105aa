#include "api/workspace_json.h"

#include <algorithm>
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <charconv>
#include <cmath>

#include "api/call.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kAllModeBits = 07777;
constexpr double kMsPerSecond = 1000.0;
constexpr std::size_t kConfigFields = 16;
constexpr std::size_t kWorkspaceMemory = 8192;             // twice what a workspace with a short environment takes
constexpr std::int64_t kLatestTimeMs = 9'000'000'000'000;  // in the year 2255

}  // namespace

std::string_view type_name(vm::FileType type) {
  switch (type) {
    case vm::FileType::file:
      return "file";
    case vm::FileType::directory:
      return "directory";
    case vm::FileType::symlink:
      return "symlink";
    case vm::FileType::other:
      break;
  }
  return "other";
}

json::value time_or_null(const std::optional<std::chrono::system_clock::time_point>& time,
                         const json::storage_ptr& memory) {
  if (!time) return nullptr;
  return json::value(format_rfc3339(*time), memory);
}

json::value seconds_or_null(const std::optional<std::chrono::milliseconds>& duration) {
  if (!duration) return nullptr;
  return static_cast<double>(duration->count()) / kMsPerSecond;
}

json::value idle_to_json(const std::optional<model::IdlePolicy>& idle, const json::storage_ptr& memory) {
  if (!idle) return nullptr;
  return json::object(
      {{"suspend_after", seconds_or_null(idle->suspend_after)}, {"stop_after", seconds_or_null(idle->stop_after)}},
      memory);
}

json::object resources_to_json(const workspace::Info& info, const json::storage_ptr& memory) {
  const auto& spec = info.spec;
  return json::object(
      {{"cpus", spec.cpu_millis / kMsPerSecond}, {"memory_mb", spec.memory_mib}, {"disk_size_mb", spec.disk_mib}},
      memory);
}

json::object lifecycle_to_json(const workspace::Info& info, const json::storage_ptr& memory) {
  const auto& spec = info.spec;
  return json::object({{"ttl", seconds_or_null(spec.ttl)},
                       {"ttl_action", model::ttl_action_name(spec.at_end_of_ttl())},
                       {"ttl_expires_at", time_or_null(info.expires_at, memory)},
                       {"remove_on_exit", spec.on_exit == model::OnExit::remove},
                       {"restart_policy", model::restart_policy_name(spec.restart_policy)}},
                      memory);
}

json::object config_to_json(const workspace::Info& info, const json::storage_ptr& memory) {
  const auto& spec = info.spec;
  json::object config(kConfigFields, memory);
  for (auto& [key, value] : resources_to_json(info, memory)) config.emplace(key, std::move(value));
  for (auto& [key, value] : lifecycle_to_json(info, memory)) config.emplace(key, std::move(value));
  config["max_restarts"] = spec.max_restarts;
  config["idle"] = idle_to_json(spec.idle, memory);
  config["allow_internet"] = false;
  json::array names(memory), secrets(memory);
  for (const auto& item : spec.env) names.emplace_back(to_utf8(item.substr(0, item.find('='))));
  for (const auto& name : spec.secrets) secrets.emplace_back(name);
  config["env_names"] = std::move(names);
  config["secrets"] = std::move(secrets);
  return config;
}

http::Response workspace_answer(const workspace::Info& info, const std::string& space) {
  // Some sixty values, each an allocation elsewhere: this answer is the one that is asked for most.
  std::array<unsigned char, kWorkspaceMemory> memory;
  json::monotonic_resource arena(memory.data(), memory.size());
  return answer(json::object({{"workspace", to_json(info, space, &arena)}}, &arena));
}

json::object to_json(const workspace::Info& info, const std::string& space, const json::storage_ptr& memory) {
  const auto& spec = info.spec;
  const bool running = info.state == model::State::running;
  const bool stopped = info.state == model::State::stopped;
  const json::value slug = spec.slug.empty() ? json::value() : json::value(spec.slug);
  const json::value logo = spec.logo.empty() ? json::value() : json::value(to_utf8(spec.logo));
  json::object pending(memory);
  if (info.pending && info.pending->cpu_millis) pending["cpus"] = *info.pending->cpu_millis / kMsPerSecond;
  if (info.pending && info.pending->memory_mib) pending["memory_mb"] = *info.pending->memory_mib;
  if (info.pending && info.pending->disk_mib) pending["disk_size_mb"] = *info.pending->disk_mib;
  const json::value hold = info.held ? json::value(json::object{{"reason", to_utf8(info.hold_reason)}}) : json::value();
  json::object whole(
      {{"id", info.id},
       {"name", to_utf8(spec.name)},
       {"slug", slug},
       {"logo", logo},
       {"status", model::state_name(info.state)},
       {"status_detail", to_utf8(info.state_detail)},
       {"image", spec.image},
       {"mode", spec.mode == model::Mode::permanent ? "permanent" : "temporary"},
       {"namespace", space},
       {"namespace_id", spec.namespace_id},
       {"ip", nullptr},
       {"ready", running},
       {"provisioning", nullptr},
       {"created_at", format_rfc3339(info.created_at)},
       {"updated_at", format_rfc3339(info.updated_at)},
       {"started_at", time_or_null(info.started_at, memory)},
       {"hostname", info.hostname},
       {"from_pool", info.from_pool},
       {"vm_id", info.vm_id},
       {"encryption",
        {{"cipher", "aes-256-xts"}, {"key_id", info.disk_key_id}, {"key_place", info.disk_kept ? "tree" : "memory"}}},
       {"snapshots", info.snapshots},
       {"memory_on_disk", info.asleep},
       {"hold", hold},
       {"isolated", info.isolated},
       {"resources", resources_to_json(info, memory)},
       {"lifecycle", lifecycle_to_json(info, memory)},
       {"config", config_to_json(info, memory)},
       {"info",
        {{"status", model::state_name(info.state)},
         {"is_running", running},
         {"ready", running},
         {"user_requested_stop", stopped}}}},
      memory);
  if (!pending.empty()) whole["pending_resources"] = std::move(pending);
  return whole;
}

json::object to_json(const workspace::PoolInfo& pool) {
  return {{"image", pool.image},           {"vcpus", pool.shape.vcpus}, {"memory_mb", pool.shape.memory_mib},
          {"disk_size_mb", pool.disk_mib}, {"ready", pool.ready},       {"wanted", pool.wanted},
          {"standby", pool.standby}};
}

json::object to_json(const vm::GuestMetrics& metrics) {
  return {{"memory_total_bytes", metrics.memory_total_bytes},
          {"memory_available_bytes", metrics.memory_available_bytes},
          {"disk_total_bytes", metrics.disk_total_bytes},
          {"disk_free_bytes", metrics.disk_free_bytes},
          {"cpu_busy_ms", metrics.cpu_busy_ms},
          {"uptime_ms", metrics.uptime_ms},
          {"processes", metrics.processes}};
}

json::object to_json(const vm::HostMetrics& metrics) {
  return {{"cpu_ms", metrics.cpu_ms},
          {"private_memory_bytes", metrics.private_memory_bytes},
          {"disk_read_bytes", metrics.disk_read_bytes},
          {"disk_written_bytes", metrics.disk_written_bytes}};
}

json::object to_json(const vm::GuestProcessInfo& process) {
  return {{"pid", process.pid},
          {"parent_pid", process.parent_pid},
          {"uid", process.uid},
          {"state", to_utf8({&process.state, 1})},
          {"rss_kib", process.rss_kib},
          {"cpu_ms", process.cpu_ms},
          {"command", to_utf8(process.command)}};
}

json::object to_json(const vm::FileInfo& file) {
  // The guest's word: a clock of nanoseconds does not hold every 64-bit number of milliseconds.
  const auto modified_ms = std::clamp<std::int64_t>(file.modified_ms, 0, kLatestTimeMs);
  const std::chrono::system_clock::time_point modified{std::chrono::milliseconds(modified_ms)};
  return {{"type", type_name(file.type)},
          {"size", file.size},
          {"mode", octal_mode(file.mode)},
          {"uid", file.uid},
          {"gid", file.gid},
          {"modified", format_rfc3339(modified)}};
}

void put_text(json::object& object, std::string_view field, std::string_view bytes) {
  object[field] = to_utf8(bytes);
  if (!is_utf8(bytes)) object[cat(field, "_hex")] = to_hex(bytes);
}

std::string octal_mode(std::uint32_t mode) {
  std::string text = "0000";
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[text.size() - 1 - i] = static_cast<char>('0' + ((mode >> (3 * i)) & 7U));
  }
  return text;
}

Result<std::uint32_t> parse_mode(std::string_view octal) {
  std::uint32_t mode = 0;
  const std::string text(octal);
  const auto* end = text.c_str() + text.size();
  const auto [stop, ec] = std::from_chars(text.c_str(), end, mode, 8);
  if (ec != std::errc{} || stop != end || mode > kAllModeBits) {
    return fail(Code::InvalidArgument, cat("mode: '", octal, "' is not a file mode"), "give it in octal, such as 0644");
  }
  return mode;
}

Result<std::optional<std::uint32_t>> mode_field(const json::object& object) {
  const json::value* value = object.if_contains("mode");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const auto* text = value->if_string()) {
    TRY_ASSIGN(const std::uint32_t mode, parse_mode(*text));
    return mode;
  }
  TRY_ASSIGN(const auto number, model::get_number(object, "", "mode"));
  if (*number < 0 || *number > kAllModeBits || *number != std::floor(*number)) {
    return fail(Code::InvalidArgument, "/mode: is not a file mode", "give it as octal text, such as \"0644\"");
  }
  return static_cast<std::uint32_t>(*number);
}

Result<std::optional<model::IdlePolicy>> idle_field(const json::value& value, std::string_view path) {
  if (value.is_null()) return std::nullopt;
  auto policy = model::idle_policy_from_json(value);
  if (!policy) return fail(path.empty() ? std::move(policy.error()) : std::move(policy.error()).in(path));
  if (*policy) TRY(model::validate(**policy));
  return policy;
}

Result<std::optional<model::TtlAction>> ttl_action_field(const json::object& object, std::string_view path) {
  TRY_ASSIGN(const auto name, model::get_string(object, path, "ttl_action"));
  if (!name) return std::nullopt;
  auto action = model::parse_ttl_action(*name);
  if (!action) return fail(std::move(action.error()).in(cat(path, "/ttl_action")));
  return *action;
}

Result<std::optional<model::RestartPolicy>> restart_policy_field(const json::object& object, std::string_view path) {
  TRY_ASSIGN(const auto name, model::get_string(object, path, "restart_policy"));
  if (!name) return std::nullopt;
  auto policy = model::parse_restart_policy(*name);
  if (!policy) return fail(std::move(policy.error()).in(cat(path, "/restart_policy")));
  return *policy;
}

Result<std::optional<model::OnExit>> on_exit_field(const json::object& object, std::string_view path) {
  TRY_ASSIGN(const auto remove, model::get_flag(object, path, "remove_on_exit"));
  if (!remove) return std::nullopt;
  return *remove ? model::OnExit::remove : model::OnExit::keep;
}

Result<workspace::Resources> resources_fields(const json::object& object, std::string_view path) {
  constexpr std::uint64_t kMost = 1ULL << 31;
  workspace::Resources resources;
  TRY_ASSIGN(const auto cpus, model::get_number(object, path, "cpus"));
  if (cpus) {
    if (!(*cpus > 0) || *cpus > 1000) return fail(Code::InvalidArgument, cat(path, "/cpus: is out of range"));
    resources.cpu_millis = static_cast<std::uint32_t>(std::lround(*cpus * 1000));
  }
  TRY_ASSIGN(const auto memory, get_whole(object, path, "memory_mb", 1, kMost));
  TRY_ASSIGN(const auto disk, get_whole(object, path, "disk_size_mb", 1, kMost));
  TRY_ASSIGN(const auto writable, get_whole(object, path, "writable_size_mb", 1, kMost));
  if (memory) resources.memory_mib = static_cast<std::uint32_t>(*memory);
  if (writable) resources.disk_mib = static_cast<std::uint32_t>(*writable);
  if (disk) resources.disk_mib = static_cast<std::uint32_t>(*disk);
  return resources;
}

Result<model::WorkspaceSpec> spec_of_create(const json::object& body) {
  TRY_ASSIGN(auto spec, model::workspace_spec_from_json(body));
  TRY_ASSIGN(const auto config, get_object(body, "", "config"));
  if (!config || config->contains("disk_size_mb") || body.contains("disk_size_mb")) return spec;
  // An older spelling, and what it gives way to.
  TRY_ASSIGN(const auto old, get_whole(*config, "/config", "writable_size_mb", 1, 1U << 20));
  if (old) spec.disk_mib = static_cast<std::uint32_t>(*old);
  TRY(model::validate(spec));
  return spec;
}

}  // namespace cofferdam::api

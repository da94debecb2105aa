#include "api/workspace_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "api/utf8.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kAllModeBits = 07777;
constexpr double kMsPerSecond = 1000.0;
constexpr std::int64_t kLatestTimeMs = 9'000'000'000'000;  // in the year 2255

json::value time_or_null(const std::optional<std::chrono::system_clock::time_point>& time) {
  if (!time) return nullptr;
  return json::value(format_rfc3339(*time));
}

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

}  // namespace

json::object to_json(const workspace::Info& info) {
  const auto& spec = info.spec;
  const bool running = info.state == model::State::running;
  json::object lifecycle{{"ttl", nullptr}, {"ttl_expires_at", time_or_null(info.expires_at)}};
  if (spec.ttl) lifecycle["ttl"] = static_cast<double>(spec.ttl->count()) / kMsPerSecond;
  return {{"id", info.id},
          {"name", to_utf8(spec.name)},
          {"status", model::state_name(info.state)},
          {"status_detail", to_utf8(info.state_detail)},
          {"image", spec.image},
          {"mode", spec.mode == model::Mode::permanent ? "permanent" : "temporary"},
          {"ready", running},
          {"created_at", format_rfc3339(info.created_at)},
          {"updated_at", format_rfc3339(info.updated_at)},
          {"started_at", time_or_null(info.started_at)},
          {"hostname", info.hostname},
          {"from_pool", info.from_pool},
          {"vm_id", info.vm_id},
          {"resources",
           {{"cpus", spec.cpu_millis / kMsPerSecond}, {"memory_mb", spec.memory_mib}, {"disk_size_mb", spec.disk_mib}}},
          {"lifecycle", std::move(lifecycle)},
          {"info", {{"is_running", running}}}};
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

Result<std::optional<std::chrono::milliseconds>> ttl_field(const json::object& object) {
  const json::value* value = object.if_contains("ttl");
  if (value == nullptr) return fail(Code::InvalidArgument, "/ttl: is missing");
  if (value->is_null()) return std::nullopt;
  std::chrono::milliseconds ttl{};
  if (const auto* text = value->if_string()) {
    auto parsed = parse_duration(*text);
    if (!parsed) return fail(std::move(parsed.error()).in("/ttl"));
    ttl = *parsed;
  } else {
    constexpr double kMaxSeconds = 365.0 * 86'400;
    TRY_ASSIGN(const auto seconds, model::get_number(object, "", "ttl"));
    if (!(*seconds >= 0) || *seconds > kMaxSeconds) {
      return fail(Code::InvalidArgument, "/ttl: must be a positive number of seconds, at most a year");
    }
    ttl = std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * kMsPerSecond));
  }
  if (ttl < std::chrono::seconds(1)) return fail(Code::InvalidArgument, "/ttl: must be at least one second");
  return ttl;
}

}  // namespace cofferdam::api

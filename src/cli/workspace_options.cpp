#include "cli/workspace_options.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

// More than any host has, and far from the end of any integer.
constexpr double kMaxCpus = 100'000;

Result<std::uint32_t> parse_mib(std::string_view what, std::string_view text) {
  auto bytes = parse_size(text);
  if (!bytes) return fail(std::move(bytes.error()).in(what));
  const std::uint64_t mib = (*bytes + model::kMiB - 1) / model::kMiB;
  if (mib > std::numeric_limits<std::uint32_t>::max() / 4) {
    return fail(Code::InvalidArgument, cat(what, ": '", text, "' is more than any host has"));
  }
  return static_cast<std::uint32_t>(mib);
}

}  // namespace

void WorkspaceOptions::declare(Options& options) {
  options.value("--image", "NAME", image, "image to start from (default debian-12)");
  options.value("--cpus", "N", cpus, "CPUs; fractions are allowed (default 1)");
  options.value("--memory", "SIZE", memory, "memory, for example 512M (default 512M)");
  options.value("--disk", "SIZE", disk, "size of the disk (default 4G)");
  options.value("--ttl", "TIME", ttl, "the workspace is destroyed after this long: 90, 90s, 30m, 2h");
  options.value("--disk-bps", "SIZE", disk_bps, "disk throughput limit, bytes a second");
  options.value("--disk-iops", "N", disk_iops, "disk operations a second");
  options.values("--allow", "DESTINATION", allow,
                 "what it may reach (default: nothing): pypi.org, *.debian.org:80, 203.0.113.0/24:22, or a preset such "
                 "as pypi, npm, debian, github");
  options.flag("--allow-internet", internet, "it may reach everything that is public");
}

boost::json::object WorkspaceOptions::create_body(const model::WorkspaceSpec& spec) const {
  auto body = model::workspace_spec_to_json(spec);
  if (allow.empty() && !internet) return body;
  boost::json::array egress;
  for (const auto& one : allow) egress.emplace_back(one);
  boost::json::object network{{"allow_internet", internet}, {"egress", std::move(egress)}};
  body["config"].as_object()["network_config"] = std::move(network);
  return body;
}

Status WorkspaceOptions::apply(model::WorkspaceSpec& spec) const {
  if (internet && !allow.empty()) return fail(Code::InvalidArgument, "--allow and --allow-internet exclude each other");
  if (!image.empty()) spec.image = image;
  if (!cpus.empty()) {
    TRY_ASSIGN(spec.cpu_millis, parse_cpus(cpus));
  }
  if (!memory.empty()) {
    TRY_ASSIGN(spec.memory_mib, parse_mib("--memory", memory));
  }
  if (!disk.empty()) {
    TRY_ASSIGN(spec.disk_mib, parse_mib("--disk", disk));
  }
  if (!ttl.empty()) {
    TRY_ASSIGN(const auto time, parse_time("--ttl", ttl));
    spec.ttl = time;
  }
  if (!disk_bps.empty()) {
    auto bytes = parse_size(disk_bps);
    if (!bytes) return fail(std::move(bytes.error()).in("--disk-bps"));
    spec.io.bytes_per_second = *bytes;
  }
  if (!disk_iops.empty()) {
    TRY_ASSIGN(const auto operations, parse_int("--disk-iops", disk_iops, 1, 100'000'000));
    spec.io.operations_per_second = static_cast<std::uint64_t>(operations);
  }
  return {};
}

Status validate_options(const model::WorkspaceSpec& spec) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"/name", "--name"},        {"/image", "--image"},
      {"/config/cpus", "--cpus"}, {"/config/memory_mb", "--memory (MiB)"},
      {"/config/ttl", "--ttl"},   {"/config/disk_size_mb", "--disk (MiB)"},
      {"/config/env", "--env"}};
  Status valid = model::validate(spec);
  if (valid) return valid;
  for (const auto& [field, option] : kNames) {
    auto& message = valid.error().message;
    if (starts_with(message, field)) message.replace(0, field.size(), option);
  }
  return valid;
}

Result<std::uint32_t> parse_cpus(std::string_view text) {
  double number = 0;
  const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (err != std::errc() || end != text.data() + text.size() || !(number > 0) || number > kMaxCpus) {
    return fail(Code::InvalidArgument, cat("--cpus: '", text, "' is not a number of CPUs"), "write it as 1, 2 or 0.5");
  }
  return static_cast<std::uint32_t>(std::ceil(number * 1000));
}

Result<std::chrono::milliseconds> parse_time(std::string_view what, std::string_view text) {
  auto time = parse_duration(text);
  if (!time) return fail(std::move(time.error()).in(what));
  return time;
}

}  // namespace cofferdam::cli

#include "identity/limits.h"

#include <limits>
#include <string>
#include <string_view>

#include "base/text.h"

namespace cofferdam::identity {
namespace {

struct Line {
  std::string_view limit;  // its name in the API
  std::optional<std::uint64_t> most;
  std::uint64_t per_unit;  // of the totals in one of the limit
  std::uint64_t in_use, wish;
};

std::string figure(std::uint64_t total, std::uint64_t per_unit) {
  return cat(static_cast<double>(total) / static_cast<double>(per_unit));
}

}  // namespace

ResourceLimits inherit(const ResourceLimits& limits, const ResourceLimits& defaults) {
  const auto pick = [](const auto& own, const auto& other) { return own ? own : other; };
  return {pick(limits.max_workspaces, defaults.max_workspaces), pick(limits.max_vcpus, defaults.max_vcpus),
          pick(limits.max_ram_mb, defaults.max_ram_mb), pick(limits.max_disk_gb, defaults.max_disk_gb)};
}

Status admit(const ResourceLimits& limits, const Totals& in_use, const Totals& wish) {
  const Line lines[] = {
      {"max_workspaces", limits.max_workspaces, 1, in_use.workspaces, wish.workspaces},
      {"max_vcpus", limits.max_vcpus, 1000, in_use.cpu_millis, wish.cpu_millis},
      {"max_ram_mb", limits.max_ram_mb, 1, in_use.memory_mib, wish.memory_mib},
      {"max_disk_gb", limits.max_disk_gb, 1024, in_use.disk_mib, wish.disk_mib},
  };
  std::string over;
  for (const auto& line : lines) {
    if (!line.most || line.wish == 0) continue;
    // Compared so that nothing can overflow, however large the figures are.
    const auto most = *line.most > std::numeric_limits<std::uint64_t>::max() / line.per_unit
                          ? std::numeric_limits<std::uint64_t>::max()
                          : *line.most * line.per_unit;
    if (line.in_use <= most && line.wish <= most - line.in_use) continue;
    over += cat(over.empty() ? "" : "; ", line.limit, " is ", *line.most, ", ", figure(line.in_use, line.per_unit),
                " in use, ", figure(line.wish, line.per_unit), " asked for");
  }
  if (over.empty()) return {};
  return fail(Code::ResourceExhausted, cat("the limits of the namespace would be exceeded: ", over),
              std::string(kOverLimitsHint));
}

}  // namespace cofferdam::identity

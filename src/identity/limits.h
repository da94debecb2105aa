// What a namespace may have in total, and whether one thing more still fits.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace cofferdam::identity {

// nullopt: whatever the host's defaults say, and no limit where they say nothing.
struct ResourceLimits {
  std::optional<std::uint64_t> max_workspaces, max_vcpus, max_ram_mb, max_disk_gb;
  bool operator==(const ResourceLimits&) const = default;
};

// In the units of a workspace's own specification.
struct Totals {
  std::uint64_t workspaces = 0;
  std::uint64_t cpu_millis = 0;
  std::uint64_t memory_mib = 0;
  std::uint64_t disk_mib = 0;
};

ResourceLimits inherit(const ResourceLimits& limits, const ResourceLimits& defaults);

// The hint of admit()'s refusal, and of nothing else: clients know the case by a name of its own.
inline constexpr std::string_view kOverLimitsHint =
    "remove workspaces of the namespace, ask for less, or raise its limits";

// ResourceExhausted, naming every limit that `in_use` and `wish` together exceed, with the figures. A wish for more of
// one thing is not refused for another thing that is over its limit already.
Status admit(const ResourceLimits& limits, const Totals& in_use, const Totals& wish);

}  // namespace cofferdam::identity

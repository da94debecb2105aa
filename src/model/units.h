// Quantities with their unit in the name.
#pragma once
#include <cstdint>

namespace cofferdam::model {

inline constexpr std::uint64_t kMiB = 1ULL << 20;

// vCPUs and memory of a machine: what a template is built for.
struct Shape {
  std::uint32_t vcpus = 1;         // 1 to 32
  std::uint32_t memory_mib = 512;  // 128 to 65536
  bool operator==(const Shape&) const = default;
};

}  // namespace cofferdam::model

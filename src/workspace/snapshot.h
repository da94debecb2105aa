// Snapshots of workspaces: memory, devices and disk as they were at one moment, as many as somebody keeps.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/workspace_spec.h"

namespace cofferdam::workspace {

// What the workspace does once its snapshot is taken.
enum class AfterSnapshot { resume, pause, stop };

struct Snapshot {
  std::string id;  // "snap_…"
  std::string workspace_id;
  std::chrono::system_clock::time_point created_at;
  std::uint64_t bytes = 0;             // on the host
  std::chrono::microseconds pause{0};  // for which the guest stood still
  model::Shape shape;
  std::uint32_t disk_mib = 0;
  std::string image;
};

struct ForkWish {
  std::string snapshot;     // its id; empty: of now
  std::uint32_t count = 1;  // 1 to kMaxForks
  std::string name;         // of one; of several, each gets its number behind it. Empty: none
  enum class Secrets { refuse, pass_on } secrets = Secrets::refuse;
};
inline constexpr std::uint32_t kMaxForks = 64;
inline constexpr std::size_t kMaxSnapshots = 100;  // of one workspace

}  // namespace cofferdam::workspace

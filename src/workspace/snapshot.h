// Snapshots of workspaces: memory, devices and disk as they were at one moment, as many as somebody keeps.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "keys/key_store.h"
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
// A workspace that goes on from a snapshot to be looked into, and never has a network or a secret.
struct ScratchWish {
  std::string name;  // empty: none
  std::chrono::milliseconds ttl = std::chrono::hours(1);
  std::optional<std::string> namespace_id = {};  // nullopt: its source's
};

// A snapshot as it lies on the disk: files that are encrypted, and what opens them.
struct SealedSnapshot {
  struct File {
    std::string name;
    UniqueFd fd;
    std::uint64_t bytes = 0;
  };
  Snapshot snapshot;
  std::vector<File> files;
  keys::Key key;
};
// The names of its files, in the order in which they are read again.
inline constexpr std::string_view kSnapshotFiles[] = {"manifest", "state", "memory", "disk"};
// The same from elsewhere, in a folder that is the caller's. Hostile content, but for what its key authenticates.
struct BroughtSnapshot {
  std::string folder, workspace_id, id;
  std::optional<keys::Key> key;  // nullopt: this host's own
};

inline constexpr std::uint32_t kMaxForks = 64;
inline constexpr std::size_t kMaxSnapshots = 100;  // of one workspace

}  // namespace cofferdam::workspace

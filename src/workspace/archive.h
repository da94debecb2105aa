// Archives of workspaces: chosen paths as one tar.zst, as many versions as somebody keeps, each under its own key.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "loop/task.h"

namespace cofferdam::workspace {

struct Archive {
  std::string id;  // "arc_…"
  std::string workspace_id;
  std::string version;  // 1 to 64 of [A-Za-z0-9_.-]
  std::chrono::system_clock::time_point created_at;
  std::uint64_t bytes = 0;  // on the host
  std::vector<std::string> paths, excludes;
};

struct ArchiveWish {
  std::string version;  // empty: the next number
  std::vector<std::string> paths, excludes;
};
inline constexpr std::size_t kMaxArchives = 100;  // of one workspace

// The next bytes of an archive, empty at its end.
using ArchiveBytes = std::function<loop::Task<std::string>()>;

}  // namespace cofferdam::workspace

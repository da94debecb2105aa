// A link: workspace `source` may open TCP connections to ports of workspace `target`, and not the reverse.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "gate/policy.h"

namespace cofferdam::net {

using Time = std::chrono::system_clock::time_point;

inline constexpr std::size_t kMaxLinksOfOne = 64;  // from one workspace, and to one
inline constexpr std::size_t kMaxNote = 512;

struct Link {
  std::string id;  // "lnk_…"
  std::string source, target;
  gate::Ports ports;
  std::string note;
  std::optional<Time> expires_at;
  Time created_at;
  std::string created_by;  // a principal
};

}  // namespace cofferdam::net

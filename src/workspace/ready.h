// A command that says whether a workspace is ready.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "workspace/manager.h"

namespace cofferdam::workspace {

// Run again and again until it ends with 0.
struct ReadyCheck {
  std::vector<std::string> command;
  std::chrono::milliseconds limit{};
};
inline constexpr std::chrono::milliseconds kDefaultReadyLimit = std::chrono::seconds(60);
inline constexpr std::uint64_t kMaxReadySeconds = 240;  // a client waits five minutes for the head of an answer

// DeadlineExceeded when it did not end with 0 in time. `manager` outlives the task.
Task<void> wait_until_ready(Manager& manager, std::string workspace_id, ReadyCheck check);

}  // namespace cofferdam::workspace

// What is written on a task's process, so that a later daemon of this host knows the task again.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::runtime {

struct TaskTag {
  std::uint64_t number = 0;          // its id
  std::vector<std::string> command;  // as it was asked for; a long one is cut
  std::chrono::system_clock::time_point created_at;
  std::optional<std::chrono::milliseconds> ttl;
  bool keep_logs = false, takes_input = false;
};

// At most model::kMaxExecTag bytes.
std::string task_tag_text(const TaskTag& tag);
// The text comes back from a guest, which may have made it up. InvalidArgument: no tag.
Result<TaskTag> parse_task_tag(std::string_view text);

}  // namespace cofferdam::runtime

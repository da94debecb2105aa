// The guest's cgroup tree: `agent` for PID 1, `user` with limits for everything it starts, one group below for each
// task.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::guest {

// Mounts nothing: `root` is a mounted cgroup2. Moves the caller to `agent`, protects its memory and its share of the
// CPU, and makes `user`.
Status set_up_cgroups(const std::string& root);

struct UserLimits {
  std::uint64_t memory_bytes = 0;
  std::uint32_t pids = 0;
};
// Of all user processes together.
Status limit_user_processes(const std::string& root, const UserLimits& limits);

// One task's group. Destruction removes it if nobody is left in it; else sweep_cgroups() does later.
class TaskCgroup {
 public:
  // A group that holds nothing and does nothing: for an agent that is not PID 1.
  TaskCgroup() = default;
  static Result<TaskCgroup> create(const std::string& root);
  TaskCgroup(TaskCgroup&& other) noexcept;
  TaskCgroup& operator=(TaskCgroup&& other) noexcept;
  ~TaskCgroup();

  // For CLONE_INTO_CGROUP; -1 when there is none.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // SIGKILL to everyone in it.
  void kill() const;
  // Whether the kernel has killed one of its members for want of memory.
  [[nodiscard]] bool had_oom_kill() const;

 private:
  std::string path_;
  UniqueFd fd_;
};

// SIGKILL to every user process.
void kill_all_user_processes(const std::string& root);
// Whether `user` has any process left.
bool has_user_processes(const std::string& root);
// Removes the groups that have become empty since their task ended.
void sweep_cgroups(const std::string& root);

}  // namespace cofferdam::guest

// The guest's cgroup tree: `agent` for PID 1, `user` with limits for everything it starts, one group below for each
// task.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
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

// One task's group.
class TaskCgroup {
 public:
  // A group that holds nothing and does nothing: for an agent that is not PID 1.
  TaskCgroup() = default;
  static Result<TaskCgroup> create(std::string path);

  [[nodiscard]] bool exists() const { return static_cast<bool>(fd_); }
  // For CLONE_INTO_CGROUP; -1 when there is none.
  [[nodiscard]] int fd() const { return fd_.get(); }
  // SIGKILL to everyone in it.
  void kill() const;
  [[nodiscard]] bool has_members() const;
  // Whether the kernel has killed one of its members for want of memory since it was last given out.
  [[nodiscard]] bool had_oom_kill() const;

 private:
  friend class CgroupPool;
  [[nodiscard]] std::string oom_kills() const;

  std::string path_;
  UniqueFd fd_;
  std::string oom_kills_before_ = "0";
};

// Groups are made ahead and used again: making and removing one is most of what a short command would cost.
class CgroupPool {
 public:
  static constexpr std::size_t kMadeAhead = 2;
  static constexpr std::size_t kMaxFree = 16;

  static Result<CgroupPool> create(std::string root);
  Result<TaskCgroup> take();
  // One with members left (children that live on) is looked at again later.
  void give_back(TaskCgroup group);

 private:
  explicit CgroupPool(std::string root) : root_(std::move(root)) {}
  Result<TaskCgroup> make();

  std::string root_;
  std::uint64_t next_ = 0;
  std::vector<TaskCgroup> free_;
  std::vector<TaskCgroup> inhabited_;
};

// SIGKILL to every user process.
void kill_all_user_processes(const std::string& root);
// Whether `user` has any process left.
bool has_user_processes(const std::string& root);
}  // namespace cofferdam::guest

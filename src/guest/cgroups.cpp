#include "guest/cgroups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::uint64_t kAgentMemoryBytes = 16U << 20;

Status make_group(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno(cat("make cgroup '", path, "'"));
  return {};
}

// The value of a key in a file of "key value" lines.
std::string value_of(const std::string& path, std::string_view key) {
  const auto text = read_file(path, 4096);
  if (!text) return {};
  for (const auto& line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() == 2 && words[0] == key) return words[1];
  }
  return {};
}

}  // namespace

Status set_up_cgroups(const std::string& root) {
  TRY(make_group(root + "/agent"));
  TRY(write_control_file(root + "/agent/cgroup.procs", "0"));
  TRY(write_control_file(root + "/cgroup.subtree_control", "+memory +pids +cpu"));
  TRY(write_control_file(root + "/agent/memory.min", cat(kAgentMemoryBytes)));
  TRY(write_control_file(root + "/agent/cpu.weight", "10000"));
  TRY(make_group(root + "/user"));
  return write_control_file(root + "/user/cgroup.subtree_control", "+memory +pids");
}

Status limit_user_processes(const std::string& root, const UserLimits& limits) {
  TRY(write_control_file(root + "/user/pids.max", cat(limits.pids)));
  return write_control_file(root + "/user/memory.max", cat(limits.memory_bytes));
}

Result<TaskCgroup> TaskCgroup::create(std::string path) {
  TRY(make_group(path));
  TaskCgroup group;
  TRY_ASSIGN(group.fd_, open_file(path, O_RDONLY | O_DIRECTORY));
  group.path_ = std::move(path);
  return group;
}

void TaskCgroup::kill() const {
  if (exists()) (void)write_control_file(path_ + "/cgroup.kill", "1");
}

bool TaskCgroup::has_members() const { return exists() && value_of(path_ + "/cgroup.events", "populated") != "0"; }

bool TaskCgroup::had_oom_kill() const { return exists() && oom_kills() != oom_kills_before_; }

std::string TaskCgroup::oom_kills() const { return value_of(path_ + "/memory.events", "oom_kill"); }

Result<CgroupPool> CgroupPool::create(std::string root) {
  CgroupPool pool(std::move(root));
  for (std::size_t i = 0; i < kMadeAhead; ++i) {
    TRY_ASSIGN(TaskCgroup group, pool.make());
    pool.free_.push_back(std::move(group));
  }
  return pool;
}

Result<TaskCgroup> CgroupPool::make() { return TaskCgroup::create(cat(root_, "/user/t", next_++)); }

Result<TaskCgroup> CgroupPool::take() {
  if (free_.empty()) {
    for (TaskCgroup& group : std::exchange(inhabited_, {})) give_back(std::move(group));
  }
  if (free_.empty()) return make();
  TaskCgroup group = std::move(free_.back());
  free_.pop_back();
  return group;
}

void CgroupPool::give_back(TaskCgroup group) {
  if (!group.exists()) return;
  if (group.has_members()) {
    inhabited_.push_back(std::move(group));
  } else if (free_.size() < kMaxFree) {
    group.oom_kills_before_ = group.oom_kills();
    free_.push_back(std::move(group));
  } else {
    ::rmdir(group.path_.c_str());
  }
}

void kill_all_user_processes(const std::string& root) { (void)write_control_file(root + "/user/cgroup.kill", "1"); }

bool has_user_processes(const std::string& root) { return value_of(root + "/user/cgroup.events", "populated") != "0"; }

}  // namespace cofferdam::guest

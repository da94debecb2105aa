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

bool has_line(const std::string& path, std::string_view key, std::string_view not_value) {
  const auto text = read_file(path, 4096);
  if (!text) return false;
  for (const auto& line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() == 2 && words[0] == key) return words[1] != not_value;
  }
  return false;
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

Result<TaskCgroup> TaskCgroup::create(const std::string& root) {
  static std::uint64_t next = 0;
  TaskCgroup group;
  const std::string path = cat(root, "/user/t", next++);
  TRY(make_group(path));
  group.path_ = path;
  TRY_ASSIGN(group.fd_, open_file(path, O_RDONLY | O_DIRECTORY));
  return group;
}

TaskCgroup::TaskCgroup(TaskCgroup&& other) noexcept
    : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)) {}

TaskCgroup& TaskCgroup::operator=(TaskCgroup&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

TaskCgroup::~TaskCgroup() {
  if (!path_.empty()) ::rmdir(path_.c_str());
}

void TaskCgroup::kill() const {
  if (!path_.empty()) (void)write_control_file(path_ + "/cgroup.kill", "1");
}

bool TaskCgroup::had_oom_kill() const { return !path_.empty() && has_line(path_ + "/memory.events", "oom_kill", "0"); }

void kill_all_user_processes(const std::string& root) { (void)write_control_file(root + "/user/cgroup.kill", "1"); }

bool has_user_processes(const std::string& root) { return has_line(root + "/user/cgroup.events", "populated", "0"); }

void sweep_cgroups(const std::string& root) {
  const std::string user = root + "/user";
  const auto names = list_directory(user);
  if (!names) return;
  for (const auto& name : *names) {
    // rmdir refuses a group with members.
    if (starts_with(name, "t")) ::rmdir(cat(user, "/", name).c_str());
  }
}

}  // namespace cofferdam::guest

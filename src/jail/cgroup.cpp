#include "jail/cgroup.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::jail {
namespace {

constexpr std::size_t kMaxProcText = 1U << 20;

bool has_word(std::string_view list, char separator, std::string_view word) {
  const auto words = split(trim(list), separator);
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string read_controllers(const std::string& root) {
  return read_file(root + "/cgroup.controllers", 4096).value_or(std::string());
}

// mkdir(2) that takes over an empty folder left by another life: removing it first proves it is empty.
Status make_fresh_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) == 0) return {};
  if (errno == EEXIST && ::rmdir(folder.c_str()) == 0 && ::mkdir(folder.c_str(), 0755) == 0) return {};
  const int err = errno;
  auto error = errno_error(cat("make cgroup '", folder, "'"), err);
  if (err == EBUSY) {
    return fail(Code::AlreadyExists, std::move(error.message), "a VMM of this id still runs: end it first");
  }
  return fail(std::move(error).with_hint("coffer-jail needs root and writable cgroup folders"));
}

Status make_parent_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return {};
  return fail(errno_error(cat("make cgroup '", folder, "'"), errno)
                  .with_hint("coffer-jail needs root and writable cgroup folders"));
}

void kill_members(const std::string& folder) {
  if (write_control_file(folder + "/cgroup.kill", "1")) return;
  const auto members = read_file(folder + "/cgroup.procs", kMaxProcText);
  if (!members) return;
  for (const auto& line : split(*members, '\n')) {
    const auto pid = parse_int("pid", line, 2, 1 << 22);
    if (pid) ::kill(static_cast<pid_t>(*pid), SIGKILL);
  }
}

}  // namespace

std::vector<std::string> CgroupLayout::roots() const {
  if (version == Version::v2) return {unified};
  std::vector<std::string> roots{memory, cpu, pids};
  std::sort(roots.begin(), roots.end());
  roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
  return roots;
}

Result<CgroupLayout> detect_cgroups(std::string_view mountinfo, std::string (*controllers_of)(const std::string&)) {
  CgroupLayout found;
  for (const auto& line : split(mountinfo, '\n')) {
    // "id parent major:minor root mount-point options [fields] - type source super-options"
    const auto separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    const auto left = split(std::string_view(line).substr(0, separator), ' ');
    const auto right = split(std::string_view(line).substr(separator + 3), ' ');
    if (left.size() < 6 || right.size() < 3) continue;
    const std::string& mount_point = left[4];
    if (right[0] == "cgroup2") {
      const auto controllers = controllers_of(mount_point);
      const bool complete = has_word(controllers, ' ', "memory") && has_word(controllers, ' ', "cpu") &&
                            has_word(controllers, ' ', "pids");
      if (complete) {
        found.version = CgroupLayout::Version::v2;
        found.unified = mount_point;
        return found;
      }
    } else if (right[0] == "cgroup") {
      if (has_word(right[2], ',', "memory")) found.memory = mount_point;
      if (has_word(right[2], ',', "cpu")) found.cpu = mount_point;
      if (has_word(right[2], ',', "pids")) found.pids = mount_point;
    }
  }
  std::string missing;
  if (found.memory.empty()) missing += " memory";
  if (found.cpu.empty()) missing += " cpu";
  if (found.pids.empty()) missing += " pids";
  if (!missing.empty()) {
    return fail(Code::FailedPrecondition, cat("this host mounts no cgroup controller for:", missing),
                "mount cgroup2 at /sys/fs/cgroup, or in a container give it a writable cgroup tree");
  }
  found.version = CgroupLayout::Version::v1;
  return found;
}

Result<CgroupLayout> detect_cgroups() {
  TRY_ASSIGN(const std::string mountinfo, read_file("/proc/self/mountinfo", kMaxProcText));
  return detect_cgroups(mountinfo, read_controllers);
}

Result<std::unique_ptr<Cgroup>> Cgroup::create(const CgroupLayout& layout, const CgroupPlan& plan,
                                               const std::string& id) {
  for (const auto& root : layout.roots()) TRY(make_parent_folder(cat(root, "/", plan.parent)));
  const auto relative = cat(plan.parent, "/", id);
  const bool unified = layout.version == CgroupLayout::Version::v2;
  if (unified) TRY(prepare_cgroup2_parent(layout, plan.parent));
  auto cgroup = unified ? make_cgroup2(layout, relative) : make_cgroup1(layout, relative);
  auto give_up = [&cgroup](Error error) -> Result<std::unique_ptr<Cgroup>> {
    for (const auto& folder : cgroup->folders_) ::rmdir(folder.c_str());  // ours, or empty, or refused: all fine
    return fail(std::move(error));
  };
  for (const auto& folder : cgroup->folders_) {
    if (auto made = make_fresh_folder(folder); !made) return give_up(std::move(made.error()));
  }
  if (auto set = cgroup->set_up(plan); !set) return give_up(std::move(set.error()));
  return cgroup;
}

Status Cgroup::remove(std::chrono::milliseconds patience) const {
  for (const auto& folder : folders_) TRY(remove_cgroup_folder(folder, patience));
  return {};
}

Status remove_cgroup_folder(const std::string& folder, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  auto pause = std::chrono::microseconds(200);
  while (::rmdir(folder.c_str()) != 0) {
    if (errno == ENOENT) return {};
    const int err = errno;
    if (err != EBUSY || std::chrono::steady_clock::now() >= deadline) {
      return fail(errno_error(cat("remove cgroup '", folder, "'"), err));
    }
    kill_members(folder);
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(20000));
  }
  return {};
}

Status leave_service_cgroup(const CgroupLayout& layout, const std::string& parent) {
  if (layout.version != CgroupLayout::Version::v2) return {};
  TRY(make_parent_folder(cat(layout.unified, "/", parent)));
  const auto folder = cat(layout.unified, "/", parent, "/", kSupervisorsFolder);
  TRY(make_parent_folder(folder));
  return write_control_file(folder + "/cgroup.procs", "0");
}

}  // namespace cofferdam::jail

// cgroup v2: one folder in the unified hierarchy.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/file.h"
#include "base/text.h"
#include "jail/cgroup.h"

namespace cofferdam::jail {
namespace {

constexpr std::uint64_t kPeriodUs = 100000;
constexpr std::string_view kControllers = "+cpu +memory +pids";

class Cgroup2 final : public Cgroup {
 public:
  explicit Cgroup2(const std::string& folder) : Cgroup({folder}), folder_(folder) {}

  Status set_limits(std::uint64_t memory_max_bytes, std::uint32_t cpu_max_millicores,
                    std::uint32_t cpu_weight) override {
    if (memory_max_bytes > 0) TRY(write_control_file(folder_ + "/memory.max", std::to_string(memory_max_bytes)));
    if (cpu_max_millicores > 0) {
      const auto quota = cpu_max_millicores * kPeriodUs / 1000;
      TRY(write_control_file(folder_ + "/cpu.max", cat(quota, " ", kPeriodUs)));
    }
    if (cpu_weight > 0) TRY(write_control_file(folder_ + "/cpu.weight", std::to_string(cpu_weight)));
    return {};
  }

  [[nodiscard]] int clone_target() const override { return descriptor_.get(); }
  [[nodiscard]] Status enter() const override { return {}; }

  [[nodiscard]] std::uint64_t oom_kills() const override {
    const auto text = read_file(folder_ + "/memory.events", 4096);
    if (!text) return 0;
    for (const auto& line : split(*text, '\n')) {
      if (!starts_with(line, "oom_kill ")) continue;
      const auto count = parse_int("oom_kill", std::string_view(line).substr(9), 0, INT64_MAX);
      if (count) return static_cast<std::uint64_t>(*count);
    }
    return 0;
  }

 protected:
  Status set_up(const CgroupPlan& plan) override {
    TRY_ASSIGN(descriptor_, open_file(folder_, O_RDONLY | O_DIRECTORY));
    TRY(set_limits(plan.memory_max_bytes, plan.cpu_max_millicores, plan.cpu_weight));
    // Absent when the kernel was built or booted without swap accounting.
    const auto swap = folder_ + "/memory.swap.max";
    if (path_exists(swap)) TRY(write_control_file(swap, "0"));
    return write_control_file(folder_ + "/pids.max", std::to_string(plan.pids_max));
  }

 private:
  std::string folder_;
  UniqueFd descriptor_;
};

bool has_all_controllers(const std::string& folder) {
  const auto enabled = read_file(folder + "/cgroup.subtree_control", 4096).value_or(std::string());
  std::size_t found = 0;
  for (const auto& name : split(trim(enabled), ' '))
    found += name == "cpu" || name == "memory" || name == "pids" ? 1 : 0;
  return found == 3;
}

// A container's own root is no real root: it cannot hand controllers down while it holds processes itself. They move
// to a leaf beside ours, where the container's limits hold them as before.
Status evacuate(const std::string& root) {
  const auto leaf = root + "/init.scope";
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return fail_errno(cat("make cgroup '", leaf, "'"));
  TRY_ASSIGN(const std::string members, read_file(root + "/cgroup.procs", 1U << 20));
  for (const auto& pid : split(members, '\n')) {
    if (!pid.empty() && pid != "0") (void)write_control_file(leaf + "/cgroup.procs", pid);  // it may have ended
  }
  return {};
}

Status enable_controllers(const std::string& folder) {
  if (has_all_controllers(folder)) return {};
  const auto file = folder + "/cgroup.subtree_control";
  auto enabled = write_control_file(file, kControllers);
  if (!enabled) {
    TRY(evacuate(folder));
    enabled = write_control_file(file, kControllers);
  }
  if (!enabled) {
    return fail(std::move(enabled.error())
                    .with_hint("the cpu, memory and pids controllers must be available to children of this cgroup"));
  }
  return {};
}

}  // namespace

std::unique_ptr<Cgroup> make_cgroup2(const CgroupLayout& layout, const std::string& relative) {
  return std::make_unique<Cgroup2>(cat(layout.unified, "/", relative));
}

Status prepare_cgroup2_parent(const CgroupLayout& layout, const std::string& parent) {
  TRY(enable_controllers(layout.unified));
  return enable_controllers(cat(layout.unified, "/", parent));
}

}  // namespace cofferdam::jail

// cgroup v1: one folder in each of the memory, cpu and pids hierarchies.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "jail/cgroup.h"

namespace cofferdam::jail {
namespace {

constexpr std::uint64_t kPeriodUs = 100000;
constexpr std::uint64_t kMinQuotaUs = 1000;  // the kernel's own

class Cgroup1 final : public Cgroup {
 public:
  Cgroup1(const CgroupLayout& layout, const std::string& relative, std::vector<std::string> folders)
      : Cgroup(std::move(folders)),
        memory_(cat(layout.memory, "/", relative)),
        cpu_(cat(layout.cpu, "/", relative)),
        pids_(cat(layout.pids, "/", relative)) {}

  Status set_limits(std::uint64_t memory_max_bytes, std::uint32_t cpu_max_millicores,
                    std::uint32_t cpu_weight) override {
    if (memory_max_bytes > 0) TRY(set_memory(std::to_string(memory_max_bytes)));
    if (cpu_max_millicores > 0) {
      const auto quota = std::max(kMinQuotaUs, cpu_max_millicores * kPeriodUs / 1000);
      TRY(write_control_file(cpu_ + "/cpu.cfs_period_us", std::to_string(kPeriodUs)));
      TRY(write_control_file(cpu_ + "/cpu.cfs_quota_us", std::to_string(quota)));
    }
    // Shares of 1024 are what a weight of 100 is in v2; the kernel takes no less than 2.
    if (cpu_weight > 0) {
      TRY(write_control_file(cpu_ + "/cpu.shares", std::to_string(std::max(2U, cpu_weight * 1024 / 100))));
    }
    return {};
  }

  [[nodiscard]] int clone_target() const override { return -1; }

  // "tasks", not "cgroup.procs": the move of a single thread that is the caller needs no lock over all the system's
  // thread groups, whose price is a grace period of RCU. A process of one thread is moved whole by either.
  [[nodiscard]] Status enter() const override {
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      if (::write(tasks_[i].get(), "0", 1) != 1) return fail_errno(cat("enter cgroup '", folders()[i], "'"));
    }
    return {};
  }

  [[nodiscard]] std::uint64_t oom_kills() const override {
    const auto text = read_file(memory_ + "/memory.oom_control", 4096);
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
    for (const auto& folder : folders()) {
      TRY_ASSIGN(UniqueFd tasks, open_file(folder + "/tasks", O_WRONLY));
      tasks_.push_back(std::move(tasks));
    }
    TRY(set_limits(plan.memory_max_bytes, plan.cpu_max_millicores, plan.cpu_weight));
    return write_control_file(pids_ + "/pids.max", std::to_string(plan.pids_max));
  }

 private:
  // Memory and memory-with-swap must never cross: which comes first depends on the direction of the change.
  Status set_memory(const std::string& bytes) const {
    const auto limit = memory_ + "/memory.limit_in_bytes";
    const auto with_swap = memory_ + "/memory.memsw.limit_in_bytes";
    if (!path_exists(with_swap)) {
      // Swap is not accounted here; a swappiness of zero keeps it out short of an emergency.
      if (path_exists(memory_ + "/memory.swappiness")) TRY(write_control_file(memory_ + "/memory.swappiness", "0"));
      return write_control_file(limit, bytes);
    }
    if (write_control_file(limit, bytes)) return write_control_file(with_swap, bytes);
    TRY(write_control_file(with_swap, bytes));
    return write_control_file(limit, bytes);
  }

  std::string memory_;
  std::string cpu_;
  std::string pids_;
  std::vector<UniqueFd> tasks_;
};

}  // namespace

std::unique_ptr<Cgroup> make_cgroup1(const CgroupLayout& layout, const std::string& relative) {
  std::vector<std::string> folders;
  for (const auto& root : layout.roots()) folders.push_back(cat(root, "/", relative));
  return std::make_unique<Cgroup1>(layout, relative, std::move(folders));
}

}  // namespace cofferdam::jail

#include "gate/confine.h"

#include <linux/seccomp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

#include "gate_filter.h"  // made by the build
#include "jail/plan.h"
#include "jail/privileges.h"
#include "jail/rlimits.h"

namespace cofferdam::gate {
namespace {

constexpr std::uint64_t kMaxDescriptors = 1U << 20;
constexpr std::uint64_t kOtherDescriptors = 64U << 10;  // of thousands of workspaces, and pipes
constexpr std::uint64_t kShareOfOthers = 128;           // of the descriptors, where they are short
constexpr std::uint64_t kSocketsPerFlow = 2;

// How many flows the descriptors suffice for.
Result<std::uint32_t> set_limits(std::uint32_t max_flows) {
  rlimit held{};
  if (::getrlimit(RLIMIT_NOFILE, &held) != 0) return fail_errno("get RLIMIT_NOFILE");
  jail::RlimitPlan plan;
  plan.nofile = std::min(kMaxDescriptors, kSocketsPerFlow * max_flows + kOtherDescriptors);
  plan.fsize_bytes = RLIM_INFINITY;  // the log is all it writes, and that may be a file
  plan.nproc = 1;
  if (jail::set_rlimits(plan)) return max_flows;
  plan.nofile = held.rlim_max;  // a container may not let us have more
  TRY(jail::set_rlimits(plan));
  const std::uint64_t spare = held.rlim_max - held.rlim_max / kShareOfOthers;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(max_flows, spare / kSocketsPerFlow));
}

}  // namespace

Result<std::uint32_t> confine(std::uint32_t uid, std::uint32_t gid, std::uint32_t max_flows) {
  TRY_ASSIGN(const std::uint32_t flows, set_limits(max_flows));
  TRY(jail::drop_privileges(uid, gid));
  // One that hangs would not see that its daemon is gone, and keep the next one's places.
  TRY(jail::die_with_parent());
  // The kernel only reads it.
  const sock_fprog program{static_cast<unsigned short>(std::size(kFilter)), const_cast<sock_filter*>(kFilter)};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) return fail_errno("load the seccomp filter");
  return flows;
}

}  // namespace cofferdam::gate

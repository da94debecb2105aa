#include "jail/rlimits.h"

#include <sys/resource.h>

#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::jail {
namespace {

constexpr std::string_view kVmmOomScore = "300";

Status set_one(int resource, const char* name, rlim_t value) {
  const rlimit limit{value, value};
  if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) {
    return fail_errno(cat("set ", name, " to ", value));
  }
  return {};
}

}  // namespace

Status offer_to_oom_killer() { return write_control_file("/proc/self/oom_score_adj", kVmmOomScore); }

Status set_rlimits(const RlimitPlan& plan) {
  TRY(set_one(RLIMIT_CORE, "RLIMIT_CORE", 0));
  TRY(set_one(RLIMIT_NOFILE, "RLIMIT_NOFILE", plan.nofile));
  TRY(set_one(RLIMIT_FSIZE, "RLIMIT_FSIZE", plan.fsize_bytes));
  TRY(set_one(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", plan.memlock_bytes));
  TRY(set_one(RLIMIT_NPROC, "RLIMIT_NPROC", plan.nproc));
  TRY(set_one(RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0));
  TRY(set_one(RLIMIT_RTPRIO, "RLIMIT_RTPRIO", 0));
  return set_one(RLIMIT_NICE, "RLIMIT_NICE", 0);
}

Status raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("get RLIMIT_NOFILE");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("raise RLIMIT_NOFILE");
  return {};
}

}  // namespace cofferdam::jail

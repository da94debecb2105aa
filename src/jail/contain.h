// The child's half: from a root process in new namespaces to the VMM.
#pragma once
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "jail/cgroup.h"
#include "jail/control.h"
#include "jail/plan.h"

namespace cofferdam::jail {

struct ContainInput {
  const JailPlan& plan;
  const Cgroup& cgroup;
  const std::vector<UniqueFd>& received;  // what came with the plan
  UniqueFd null;                          // becomes descriptor 0
  UniqueFd output;                        // becomes descriptors 1 and 2
  UniqueFd report;                        // to the supervisor: kReady, or an encoded SetupFailed; closed by exec
};

inline constexpr std::string_view kReady = "ready";

// Ends in exec, or reports the stage that failed and exits.
[[noreturn]] void contain_and_exec(ContainInput input);

}  // namespace cofferdam::jail

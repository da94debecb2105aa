// The VMM's file system: the bundle, read-only, and a /proc that shows the VMM itself.
#pragma once
#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// In the child of fork_into_namespaces, which is process 1: /proc is that of its PID namespace. Afterwards "/" is
// plan.root (read-only, nosuid, nodev), /proc is read-only, noexec, with subset=pid and hidepid=invisible, /dev is
// empty or holds "kvm", and nothing of the host's tree can be reached by a path.
Status enter_root(const JailPlan& plan);

}  // namespace cofferdam::jail

// The system calls a VMM may make. QEMU adds its own filter on top (-sandbox); the stricter answer of the two holds.
#pragma once
#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// For the calling process and what it execs. Calls QEMU needs are allowed, some of them with fixed arguments; those
// that only an attack makes end the process (SIGSYS); the rest fail with EPERM. Needs no_new_privs.
Status install_seccomp(KvmDevice kvm);

}  // namespace cofferdam::jail

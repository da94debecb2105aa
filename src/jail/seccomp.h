// Installs the system call filter. QEMU adds its own on top (-sandbox); the stricter answer of the two holds.
#pragma once
#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// For the calling process and what it execs: see seccomp_policy.cpp for the list. Needs no_new_privs.
Status install_seccomp(KvmDevice kvm);

}  // namespace cofferdam::jail

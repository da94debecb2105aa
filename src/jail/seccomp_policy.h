// The system calls a VMM may make, as a list; compiled into a filter at build time, because doing that for every VMM
// would take half of its set-up.
#pragma once
#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// Writes the filter's instructions to the file `out`. Calls QEMU needs are allowed, some of them with fixed arguments;
// those that only an attack makes end the process (SIGSYS); the rest fail with EPERM.
Status write_filter(KvmDevice kvm, int out);

}  // namespace cofferdam::jail

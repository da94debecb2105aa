// Per-process limits of the VMM, and its place in the kernel's queue for the out-of-memory killer.
#pragma once
#include "base/result.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// Before enter_root, which hides the file: a VMM goes before the host's own programs, and never has the supervisor's
// protection.
Status offer_to_oom_killer();

// Soft and hard. Core dumps are off: they would put a guest's memory on the disk.
Status set_rlimits(const RlimitPlan& plan);

// The supervisor: its own soft limit of descriptors up to the hard one, so that a plan's numbers can be used.
Status raise_descriptor_limit();

}  // namespace cofferdam::jail

// KVM where it works, TCG where it does not: decided by running code, never by the presence of /dev/kvm.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "vm/kvm_probe.h"

namespace cofferdam::vm {

enum class Accelerator : std::uint8_t { kvm, tcg };
enum class Wanted : std::uint8_t { automatic, kvm, tcg };

struct AcceleratorChoice {
  Accelerator kind = Accelerator::tcg;
  std::string reason;      // one line for the administrator
  double speed_ratio = 0;  // of kernel code under KVM to the host's own; 0 when KVM did not run it
};

// Blocking: some ten milliseconds with a good KVM, at most two seconds with one that hangs. `kvm` is FailedPrecondition
// when there is no /dev/kvm that makes a VM; a slow KVM is then taken as asked for, and the reason says so.
Result<AcceleratorChoice> probe_accelerator(Wanted wanted);

// The rule alone: `timing` is the probe's result, or why there is none.
Result<AcceleratorChoice> choose_accelerator(Wanted wanted, const Result<KvmTiming>& timing);

// The host's time stamp counter in kHz, measured against the monotonic clock for some 20 ms.
std::uint64_t host_tsc_khz();

}  // namespace cofferdam::vm

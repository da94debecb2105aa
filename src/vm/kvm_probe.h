// Runs a small 64-bit loop of kernel-mode code in a KVM guest and on the host itself.
#pragma once
#include <chrono>
#include <cstdint>

#include "base/result.h"

namespace cofferdam::vm {

struct KvmTiming {
  std::chrono::nanoseconds native{};
  std::chrono::nanoseconds guest{};
};

// The loop has what emulating KVMs are known to lack or to crawl through: paging, ring 0, cmpxchg16b, xsave. Can hang
// for as long as KVM does: call it in a process that can be killed. Errors say which step KVM refused.
Result<KvmTiming> run_kvm_probe();

}  // namespace cofferdam::vm

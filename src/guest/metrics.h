// Figures of the guest from /proc: its own word, for display, never for enforcement.
#pragma once
#include "base/result.h"
#include "wire/message.h"

namespace cofferdam::guest {

// What cannot be read is zero.
wire::Metrics read_metrics();
// PermissionDenied where only root may read it.
Result<wire::KernelLog> read_kernel_log();
// Processes by number, kernel threads left out.
Result<wire::ProcessListResult> list_processes(const wire::ProcessListRequest& request);
// MemAvailable; 0 when it cannot be read.
std::uint64_t available_memory_bytes();

}  // namespace cofferdam::guest

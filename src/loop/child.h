// Waiting for a child process on the loop.
#pragma once
#include "base/process.h"
#include "loop/task.h"

namespace cofferdam::loop {

// Returns when the process that `pidfd` is of has ended, also when it is nobody's child here.
// `pidfd` outlives the task.
Task<void> wait_for_end(int pidfd);

// The shell-style status of `process` (see Process::wait). `process` must outlive the task.
Task<int> wait_for_exit(Process& process);

}  // namespace cofferdam::loop

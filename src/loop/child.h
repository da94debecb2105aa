// Waiting for a child process on the loop.
#pragma once
#include "base/process.h"
#include "loop/task.h"

namespace cofferdam::loop {

// The shell-style status of `process` (see Process::wait). `process` must outlive the task.
Task<int> wait_for_exit(Process& process);

}  // namespace cofferdam::loop

// Bytes on their way out, encrypted by age in a process of its own: what goes in and what comes out are pipes, and
// nothing of either is ever in a file.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::incident {

using loop::Task;

// The next piece; empty at the end. One call at a time.
using EvidenceBytes = std::function<Task<std::string>()>;

// What `from` gives, through the program. An error of `from`, or of the program, is the answer of a next call. When the
// result goes, so does the program. `tasks` outlives it.
Result<EvidenceBytes> through_program(const loop::asio::any_io_executor& executor, loop::TaskGroup& tasks,
                                      std::vector<std::string> argv, EvidenceBytes from);

}  // namespace cofferdam::incident

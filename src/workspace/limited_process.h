// The limits of one command, held outside the guest: output size, and a deadline that does not trust the guest's.
#pragma once
#include <functional>
#include <memory>

#include "loop/task_group.h"
#include "vm/machine.h"

namespace cofferdam::workspace {

struct ProcessLimits {
  std::uint64_t max_output_bytes = 0;   // 0: no limit
  std::chrono::milliseconds timeout{};  // the guest's own limit; 0: none
  // How long after its own limit the guest may take to end a command, and after that to say that a killed one is gone.
  std::chrono::milliseconds grace = std::chrono::seconds(30);
};

// Destroys a machine; Machines::end().
using EndMachine = std::function<loop::Task<void>(std::shared_ptr<vm::Machine> machine)>;

// `process` runs in `machine`. More output than allowed ends the process (exit status: output_limited); so does the
// deadline (timed_out). A guest that then still does not say that the process has ended loses its machine. `watchers`
// outlives the process.
std::unique_ptr<vm::GuestProcess> limit_process(std::unique_ptr<vm::GuestProcess> process,
                                                std::shared_ptr<vm::Machine> machine, ProcessLimits limits,
                                                loop::TaskGroup& watchers, EndMachine end_machine);

}  // namespace cofferdam::workspace

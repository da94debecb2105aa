// A process in the guest, over the guest link.
#pragma once
#include <memory>

#include "vm/guest_link.h"
#include "vm/machine.h"

namespace cofferdam::vm {

// `link` is shared with the machine: a process object may outlive the machine's end, and then answers Unavailable.
Task<std::unique_ptr<GuestProcess>> start_guest_process(std::shared_ptr<GuestLink> link, model::ExecSpec spec,
                                                        std::chrono::milliseconds deadline);
// One that an earlier daemon started, running or not.
Task<std::unique_ptr<GuestProcess>> attach_guest_process(std::shared_ptr<GuestLink> link, std::uint32_t stream,
                                                         std::chrono::milliseconds deadline);

}  // namespace cofferdam::vm

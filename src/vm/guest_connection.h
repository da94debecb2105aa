// Connections to servers on the guest's loopback, over the guest link.
#pragma once
#include <memory>

#include "vm/guest_link.h"
#include "vm/machine.h"

namespace cofferdam::vm {

Task<std::unique_ptr<GuestConnection>> dial_guest(std::shared_ptr<GuestLink> link, std::uint16_t port);

}  // namespace cofferdam::vm

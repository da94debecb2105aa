// Watchers in the guest, over the guest link.
#pragma once
#include <memory>

#include "vm/guest_link.h"
#include "vm/machine.h"

namespace cofferdam::vm {

Task<std::unique_ptr<GuestWatch>> open_guest_watch(std::shared_ptr<GuestLink> link, WatchSpec spec);

}  // namespace cofferdam::vm

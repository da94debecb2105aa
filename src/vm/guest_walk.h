// Walks through folders of the guest, over the guest link.
#pragma once
#include <memory>

#include "vm/guest_link.h"
#include "vm/machine.h"

namespace cofferdam::vm {

FileInfo to_file_info(wire::FileInfo&& entry);

Task<std::unique_ptr<GuestWalk>> open_guest_walk(std::shared_ptr<GuestLink> link, std::string root,
                                                 WalkOptions options);

}  // namespace cofferdam::vm

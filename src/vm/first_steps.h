// What is asked of a guest before anybody's command runs in it: who it is, its root, a first process.
#pragma once
#include <memory>
#include <string>

#include "image/image_store.h"
#include "vm/guest_link.h"

namespace cofferdam::vm {

struct Names {
  std::string hostname;
  std::string machine_id;  // 32 hexadecimal digits
};

// Fresh entropy, clock, boot id, hardware address and these names. The guest must confirm all of it, with a clock that
// is at most 50 ms off: after an error the machine must be destroyed. May be given again.
Task<void> give_identity(GuestLink& link, Names names);
// The host's time, at most 50 ms off: for a guest that stood still.
Task<void> set_clock(GuestLink& link);
// Mounts the disk and the root over it. Once, after the first identity.
Task<void> prepare_root(GuestLink& link, const image::ImageConfig& config);
// Runs a shell that does next to nothing: what starting a command and hearing of it takes is then translated and in
// memory before a user's command comes. An image without a shell just stays cold.
Task<void> rehearse(std::shared_ptr<GuestLink> link);

}  // namespace cofferdam::vm

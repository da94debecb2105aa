// The first root of the guest: the agent as /init, the modules, and the order in which to load them.
#pragma once
#include <string>

#include "base/result.h"
#include "image/content_store.h"

namespace cofferdam::image {

struct Initramfs {
  std::string path;
  std::string digest;  // SHA-256 of the file
};

// The bytes: /init, /modules/NAME.ko, /modules.list (one absolute path a line, in load order), /dev/console, /dev/null
// and the empty folders /dev /proc /sys /run /root. Uncompressed: under TCG unpacking costs more than reading.
Result<std::string> pack_initramfs(const Kernel& kernel, std::string_view guest_binary);

// The file for this kernel and the guest binary whose digest is given; made when it is not there.
Result<Initramfs> ensure_initramfs(const ContentStore& store, const Kernel& kernel, const std::string& guest_binary,
                                   const std::string& guest_digest);

// Removes the files of other kernels and guest binaries.
Status remove_old_initramfs(const ContentStore& store, const Kernel& kernel, const std::string& guest_digest);

}  // namespace cofferdam::image

// The files a VMM sees: QEMU, its libraries, its TCG module and its firmware, copied once into a folder of their own
// that becomes the read-only root of every jail.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace cofferdam::vm {

struct Bundle {
  std::string root;              // absolute, on the host: STATE/vmm/<digest>
  std::string program;           // QEMU's absolute path inside the root; the same as on the host
  std::string firmware_folder;   // inside the root, for -L
  std::vector<std::string> env;  // all the environment QEMU needs inside
  std::string qemu_version;      // "7.2.22"
  std::string digest;            // of every file's path and content, 64 hex digits
  std::uint64_t size_bytes = 0;  // of the files
  bool operator==(const Bundle&) const = default;
};

// The bundle of `qemu_binary` as it is now, made when it is not there yet. Copies, never hard links: an upgrade of the
// host's QEMU changes nothing under a running VMM, and makes a new bundle at the next call. Blocking: a second at
// first, below a millisecond when nothing changed. Safe when called twice at once. Errors: NotFound names the missing
// file and its Debian package.
Result<Bundle> ensure_bundle(const std::string& state_dir,
                             const std::string& qemu_binary = "/usr/bin/qemu-system-x86_64");

// Removes every bundle whose digest is not in `in_use`, and what interrupted builds left. The one `ensure_bundle` last
// answered stays. Returns the digests removed.
Result<std::vector<std::string>> remove_unused_bundles(const std::string& state_dir,
                                                       const std::set<std::string>& in_use);

}  // namespace cofferdam::vm

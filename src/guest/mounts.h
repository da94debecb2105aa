// Everything that is mounted in the guest: the initramfs's own, then the root that user processes see.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "wire/message.h"

namespace cofferdam::guest {

inline constexpr auto kLowerRoot = "/lower";  // the image, read-only, before the root is prepared
inline constexpr auto kCgroupRoot = "/sys/fs/cgroup";

// /proc, /sys with the cgroups, /dev and /run, in the initramfs; enter_root() takes them along. What a template has
// done its clones need not do.
Status mount_early();
// The image (erofs) at kLowerRoot.
Status mount_image(const std::string& device);

// Mounts `disk` (ext4, which grows to the disk's size), lays it over the image, and makes that the caller's root. Waits
// at most 2 s for the disk to have a size. Answers the disk's bytes. After an error the guest is neither here nor
// there: it is of no further use.
Result<std::uint64_t> enter_root(const std::string& disk);

Status mount_one(const wire::Mount& request);

}  // namespace cofferdam::guest

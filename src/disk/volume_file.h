// What Volume and VolumeStore do to a disk's open file.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace cofferdam::disk {

// FailedPrecondition when a virtual machine has it.
Status lock_for_use(int file, const std::string& what);

// Gives every block back, and answers how many bytes that were.
Result<std::uint64_t> discard_file(int file);

}  // namespace cofferdam::disk

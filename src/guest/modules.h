// Kernel modules of the initramfs.
#pragma once
#include <string>

#include "base/result.h"

namespace cofferdam::guest {

// Loads the files that `list` names, one a line, in order. A loaded module's file is removed: the initramfs is memory.
Status load_modules(const std::string& list);

}  // namespace cofferdam::guest

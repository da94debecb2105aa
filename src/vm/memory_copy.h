// A guest's memory, copied from outside of its VMM: what it has changed since it started (the pages it has for itself,
// by the kernel's pagemap) is copied while it stands still; all else is still in the file it started from, which is
// sealed, and can be read at any time.
#pragma once
#include <memory>

#include "base/result.h"
#include "vm/machine.h"

namespace cofferdam::vm {

// Of the VMM with this process id, whose guest stands still. Blocking for as long as the copy
// of the changed pages takes. The VMM may have been taken over by its guest: it can hand in only what is its own.
Result<std::unique_ptr<MemoryCopy>> copy_memory(int vmm_pid);

}  // namespace cofferdam::vm

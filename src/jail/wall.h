// The second wall of a workspace for which nothing is open: packet rules that drop whatever comes or goes. It needs no
// hole to be closed; net/ puts others in their place when one is opened.
#pragma once
#include "base/result.h"

namespace cofferdam::jail {

// Called inside the new network namespace, when its TAP is there. Every frame of the guest's is dropped at the TAP,
// and whatever the kernel would take in, pass on or send by IPv4 or IPv6 behind it. On a kernel without these rules
// nothing is done: that nothing leads anywhere is the namespace's property, and holds without them.
Status raise_wall();

}  // namespace cofferdam::jail

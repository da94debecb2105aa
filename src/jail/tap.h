// The TAP that is alone with "lo" in the VMM's network namespace.
#pragma once
#include "base/result.h"
#include "base/unique_fd.h"
#include "jail/plan.h"

namespace cofferdam::jail {

inline constexpr char kTapName[] = "tap0";

// Called inside the new network namespace, while /dev/net/tun and /proc/sys of the host can still be seen. The TAP is
// up, has no address of either family, and lives as long as its descriptor.
Result<UniqueFd> make_tap(VnetHdr vnet_hdr);

}  // namespace cofferdam::jail

// From root to a process that can do nothing but move bytes between sockets.
#pragma once
#include <cstdint>

#include "base/result.h"

namespace cofferdam::gate {

// Limits, another uid and gid, no capability, no new privileges, and the system calls of confine_policy.cpp. From then
// on no file can be opened, no program started, and no socket made but TCP and UDP over IP. Answers how many flows
// there can be: fewer than asked for where the host allows fewer descriptors.
Result<std::uint32_t> confine(std::uint32_t uid, std::uint32_t gid, std::uint32_t max_flows);

}  // namespace cofferdam::gate

// Packets of a guest that the rules dropped, as the kernel tells them.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "net/flow_log.h"

namespace cofferdam::net {

// Every packet in one message from the socket of listen_for_refusals(), as refused flows of nobody yet. What is no such
// message, or holds no whole IPv4 header, is passed over: the packet is the guest's word.
std::vector<Flow> read_refusals(std::string_view message);

}  // namespace cofferdam::net

// What a workspace's network namespace holds beside its TAP: addresses, rules, and the sockets that the gate gets. All
// of it goes with the namespace. These block, on any thread but the loop's.
#pragma once
#include <vector>

#include "base/unique_fd.h"
#include "net/rules.h"

namespace cofferdam::net {

struct GateSockets {
  UniqueFd names_udp;  // bound, the gateway's port 53
  UniqueFd names_tcp;  // listening there
  UniqueFd relay;      // listening: every other connection, its original destination as the local address
};

// In a namespace that nobody has wired yet, or that a former daemon has: afterwards it is wired anew.
Result<GateSockets> wire_up(const UniqueFd& name_space, const Pair& pair, const std::string& rules);
Status change_rules(const UniqueFd& name_space, const std::string& rules);
// TCP sockets with which somebody outside dials into the namespace.
Result<std::vector<UniqueFd>> make_dial_sockets(const UniqueFd& name_space, std::size_t count);
// Packets that the rules refuse are told to this socket (refusals.h).
Result<UniqueFd> listen_for_refusals(const UniqueFd& name_space);

}  // namespace cofferdam::net

// What this host can carry of a workspace's network, tried in a namespace that goes again: for `coffer doctor`.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"

namespace cofferdam::net {

struct ProbedNetwork {
  Status wire;   // a namespace with a TAP in it
  Status rules;  // the packet rules of a workspace with every kind of hole, and the gate's sockets behind them
  Status gate;   // coffer-gate starts, and confines itself
};
// Needs root; blocks for up to some seconds. `gate_binary` empty: `gate` is FailedPrecondition.
ProbedNetwork probe_network(const std::string& gate_binary, std::uint32_t gate_uid);

}  // namespace cofferdam::net

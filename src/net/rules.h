// The second wall: nftables rules of one workspace's namespace, as text for libnftables.
#pragma once
#include <string>
#include <vector>

#include "gate/policy.h"
#include "net/pair.h"

namespace cofferdam::net {

// Addresses and ports that the gate answers for.
struct Target {
  std::string range;  // IPv4, "10.0.0.0/8"
  gate::Ports ports;
};

struct Openings {
  std::vector<Target> targets;         // the guest may open TCP connections to these
  std::vector<Target> public_targets;  // and to these, but for what of them lies inside somebody's network
  gate::Ports servers;                 // ports on which the guest's own servers answer connections of the gate's
  enum class Resolver { closed, open } resolver = Resolver::closed;

  [[nodiscard]] bool nothing() const {
    return targets.empty() && public_targets.empty() && servers.empty() && resolver == Resolver::closed;
  }
};

// The port, in a workspace's namespace, of the socket that all of a guest's connections come to, whatever they were
// meant for.
inline constexpr std::uint16_t kRelayPort = 1;
// The group that refused packets are told to, at most kRefusalsPerSecond.
inline constexpr std::uint16_t kRefusedGroup = 7;
inline constexpr unsigned kRefusalsPerSecond = 20;

// Replaces all rules in one transaction. Whatever is not in `openings` is dropped without an answer, and so is every
// frame whose sender is not the pair's guest by hardware and by IPv4 address, and what is beyond the limits.
std::string ruleset(const Pair& pair, const Openings& openings, const gate::Limits& limits);

// Runs it in the namespace of the calling thread.
Status load_rules(const std::string& text);

}  // namespace cofferdam::net

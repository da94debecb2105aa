// Which addresses are outside. Whatever a name resolves to is held against this before it is dialled.
#pragma once
#include <cstdint>

#include "base/address.h"
#include "gate/policy.h"

namespace cofferdam::gate {

enum class AddressClass : std::uint8_t {
  outside,  // the public internet
  site,     // private, unique local, shared (CGNAT), benchmarking: the operator may open ranges of it
  never,    // loopback, link-local, metadata, multicast, reserved, and what carries IPv4 inside IPv6
};
AddressClass classify(const Address& address);

// Neither inside nor denied by the operator.
bool may_dial(const Settings& settings, const Address& address);

}  // namespace cofferdam::gate

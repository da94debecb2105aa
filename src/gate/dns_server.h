// What a workspace's DNS answers: allowed names with synthetic addresses, links with theirs. It asks nobody.
#pragma once
#include <string>

#include "base/bytes.h"
#include "gate/control.h"
#include "gate/policy.h"
#include "gate/synthetic_addresses.h"

namespace cofferdam::gate {

struct DnsReply {
  std::string packet;  // empty: nothing is sent
  FlowReason refused = FlowReason::none;
  std::string name;  // that was asked for; may be empty
};

DnsReply answer_dns(ByteSpan packet, const Policy& policy, const Settings& settings, SyntheticAddresses& addresses);

}  // namespace cofferdam::gate

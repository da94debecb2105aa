// What is answered repeats the question, fits in a packet, and carries an address only for a name that is allowed.
#include <cstdlib>

#include "gate/dns_message.h"
#include "gate/dns_server.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  static gate::SyntheticAddresses addresses(Cidr::parse("198.18.0.0/24").value());
  static const auto kPolicy = [] {
    gate::Policy made;
    gate::NameRule rule;
    rule.name = "*.example";
    rule.ports = {{443, 443}};
    made.names = {rule};
    return made;
  }();
  const auto reply = gate::answer_dns({data, size}, kPolicy, gate::Settings(), addresses);
  if (reply.packet.empty() != (reply.refused == gate::FlowReason::dns_malformed)) std::abort();
  if (reply.packet.size() > gate::kMaxDnsPacket + 27) std::abort();
  if (reply.packet.empty()) return 0;
  const bool has_address = reply.packet[7] != 0;
  if (has_address && !gate::name_matches("*.example", reply.name)) std::abort();
  const auto question = gate::parse_dns_query({data, size});
  if (!question || reply.packet.substr(12, question->wire.size()) != question->wire) std::abort();
  return 0;
}

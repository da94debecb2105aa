#include "gate/dns_server.h"

#include "base/dns_name.h"
#include "gate/dns_message.h"

namespace cofferdam::gate {

DnsReply answer_dns(ByteSpan packet, const Policy& policy, const Settings& settings, SyntheticAddresses& addresses) {
  const auto question = parse_dns_query(packet);
  if (!question) return {{}, FlowReason::dns_malformed, {}};
  const auto refuse = [&](FlowReason reason) {
    return DnsReply{build_dns_answer(*question, DnsCode::name_error, std::nullopt, 0), reason, question->name};
  };
  // "*" matches every name: what is no name must have gone before.
  if (!is_dns_name(question->name)) return refuse(FlowReason::dns_name);
  const LinkRule* link = find_link_by_name(policy, question->name);
  if (link == nullptr && denies_name(settings, question->name)) return refuse(FlowReason::denied_by_operator);
  if (link == nullptr && !allows_name(policy, question->name)) return refuse(FlowReason::dns_name);
  switch (static_cast<DnsType>(question->type)) {
    case DnsType::a: {
      const Address address = link != nullptr ? link->address : addresses.assign(question->name);
      return {build_dns_answer(*question, DnsCode::no_error, address, settings.dns_ttl_seconds), FlowReason::none,
              question->name};
    }
    case DnsType::aaaa:
    case DnsType::svcb:  // no ECH key, no hint of HTTP/3
    case DnsType::https:
      return {build_dns_answer(*question, DnsCode::no_error, std::nullopt, 0), FlowReason::none, question->name};
    default:
      return refuse(FlowReason::dns_type);
  }
}

}  // namespace cofferdam::gate

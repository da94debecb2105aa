#include "net/refusals.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include <array>
#include <chrono>
#include <cstring>

#include "base/address.h"
#include "base/text.h"

namespace cofferdam::net {
namespace {

constexpr std::size_t kIpv4Header = 20;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmp = 1;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }
std::uint16_t pair_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

std::optional<Flow> flow_of(std::string_view packet) {
  if (packet.size() < kIpv4Header || byte_at(packet, 0) >> 4 != 4) return std::nullopt;
  const std::size_t header = std::size_t{byte_at(packet, 0) & 0x0fU} * 4;
  if (header < kIpv4Header) return std::nullopt;
  Flow flow;
  flow.kind = "packet";
  flow.event = "refused";
  flow.reason = "dropped";
  flow.address =
      Address::v4({byte_at(packet, 16), byte_at(packet, 17), byte_at(packet, 18), byte_at(packet, 19)}).text();
  const auto protocol = byte_at(packet, 9);
  flow.peer = protocol == kTcp    ? "tcp"
              : protocol == kUdp  ? "udp"
              : protocol == kIcmp ? "icmp"
                                  : cat("ip/", unsigned{protocol});
  const bool first_piece = (pair_at(packet, 6) & 0x1fff) == 0;
  if ((protocol == kTcp || protocol == kUdp) && first_piece && packet.size() >= header + 4) {
    flow.port = pair_at(packet, header + 2);
  }
  flow.time_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  return flow;
}

// The payload among the attributes of one packet's message.
std::string_view payload_of(std::string_view attributes) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr attribute{};
    std::memcpy(&attribute, attributes.data(), sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > attributes.size()) return {};
    if ((attribute.nla_type & NLA_TYPE_MASK) == NFULA_PAYLOAD) {
      return attributes.substr(sizeof attribute, attribute.nla_len - sizeof attribute);
    }
    attributes.remove_prefix(std::min<std::size_t>(NLA_ALIGN(attribute.nla_len), attributes.size()));
  }
  return {};
}

}  // namespace

std::vector<Flow> read_refusals(std::string_view message) {
  std::vector<Flow> flows;
  while (message.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header{};
    std::memcpy(&header, message.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > message.size()) break;
    const auto body = message.substr(sizeof header, header.nlmsg_len - sizeof header);
    if (header.nlmsg_type == ((NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_PACKET) && body.size() > sizeof(nfgenmsg)) {
      if (auto flow = flow_of(payload_of(body.substr(sizeof(nfgenmsg))))) flows.push_back(std::move(*flow));
    }
    message.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), message.size()));
  }
  return flows;
}

}  // namespace cofferdam::net

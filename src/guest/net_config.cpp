#include "guest/net_config.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/file.h"
#include "base/netlink.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace cofferdam::guest {
namespace {

// The IPv4 addresses of an interface as the requests that delete them.
Result<std::vector<NetlinkMessage>> deletions(Netlink& netlink, int index) {
  ifaddrmsg filter{};
  filter.ifa_family = AF_INET;
  TRY_ASSIGN(const auto messages, netlink.dump("list addresses", NetlinkMessage(RTM_GETADDR, NLM_F_DUMP, filter)));
  std::vector<NetlinkMessage> out;
  for (const auto& message : messages) {
    nlmsghdr header{};
    ifaddrmsg address{};
    if (message.size() < sizeof header + sizeof address) continue;
    std::memcpy(&header, message.data(), sizeof header);
    std::memcpy(&address, message.data() + sizeof header, sizeof address);
    if (header.nlmsg_type != RTM_NEWADDR || static_cast<int>(address.ifa_index) != index) continue;
    NetlinkMessage deletion(RTM_DELADDR, 0, address);
    for (std::size_t at = sizeof header + NLMSG_ALIGN(sizeof address); at + sizeof(rtattr) <= message.size();) {
      rtattr attribute{};
      std::memcpy(&attribute, message.data() + at, sizeof attribute);
      if (attribute.rta_len < sizeof attribute || attribute.rta_len > message.size() - at) break;
      if (attribute.rta_type == IFA_LOCAL || attribute.rta_type == IFA_ADDRESS) {
        deletion.attribute(attribute.rta_type, message.data() + at + sizeof attribute,
                           attribute.rta_len - sizeof attribute);
      }
      at += RTA_ALIGN(attribute.rta_len);
    }
    out.push_back(std::move(deletion));
  }
  return out;
}

Result<int> index_of(const std::string& interface) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return fail_errno(cat("find network interface '", interface, "'"));
  return static_cast<int>(index);
}

Result<in_addr> parse_address(std::string_view what, const std::string& text) {
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) {
    return fail(Code::InvalidArgument, cat(what, " '", text, "' is not an IPv4 address"));
  }
  return address;
}

ifinfomsg link_of(int index, unsigned flags, unsigned change) {
  ifinfomsg link{};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = index;
  link.ifi_flags = flags;
  link.ifi_change = change;
  return link;
}

Status add_address(Netlink& netlink, int index, const wire::Network& network) {
  TRY_ASSIGN(const in_addr address, parse_address("the guest's address", network.address));
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = network.prefix;
  body.ifa_index = static_cast<unsigned>(index);
  return netlink.ask(cat("set address '", network.address, "'"),
                     NetlinkMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)
                         .attribute(IFA_LOCAL, &address, sizeof address)
                         .attribute(IFA_ADDRESS, &address, sizeof address));
}

Status add_default_route(Netlink& netlink, int index, const wire::Network& network) {
  TRY_ASSIGN(const in_addr gateway, parse_address("the guest's gateway", network.gateway));
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  return netlink.ask(cat("set default route by '", network.gateway, "'"),
                     NetlinkMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)
                         .attribute(RTA_GATEWAY, &gateway, sizeof gateway)
                         .number(RTA_OIF, static_cast<std::uint32_t>(index)));
}

Status bring_up(Netlink& netlink, const std::string& interface) {
  TRY_ASSIGN(const int index, index_of(interface));
  return netlink.ask(cat("bring '", interface, "' up"), NetlinkMessage(RTM_NEWLINK, 0, link_of(index, IFF_UP, IFF_UP)));
}

// Nothing beyond the link speaks IPv6, and programs should not wait for it. Absent in a kernel without IPv6.
void disable_ipv6(const std::string& interface) {
  (void)write_control_file(cat("/proc/sys/net/ipv6/conf/", interface, "/disable_ipv6"), "1");
}

}  // namespace

Status bring_loopback_up() {
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_ROUTE));
  return bring_up(netlink, "lo");
}

Result<UniqueFd> open_card_control() {
  UniqueFd control(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!control) return fail_errno("open a socket");
  return control;
}

// By ioctl(2): its way through the kernel is a third of netlink's, and every clone goes it.
Status set_mac(const UniqueFd& control, const std::string& interface, const std::array<std::uint8_t, 6>& mac) {
  ifreq request{};
  if (interface.size() >= sizeof request.ifr_name) return fail(Code::InvalidArgument, "no such network interface");
  interface.copy(request.ifr_name, interface.size());
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::copy(mac.begin(), mac.end(), request.ifr_hwaddr.sa_data);
  if (::ioctl(control.get(), SIOCSIFHWADDR, &request) != 0) {
    return fail_errno(cat("set the MAC address of '", interface, "'"));
  }
  return {};
}

Status configure_network(const wire::Network& network) {
  if (network.address.empty()) return {};
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_ROUTE));
  if (network.mac) {
    TRY_ASSIGN(const UniqueFd control, open_card_control());
    TRY(set_mac(control, network.interface, *network.mac));
  }
  TRY_ASSIGN(const int index, index_of(network.interface));
  TRY_ASSIGN(const auto old_addresses, deletions(netlink, index));
  for (const auto& deletion : old_addresses) TRY(netlink.ask("remove an old address", deletion));
  disable_ipv6(network.interface);
  if (network.mtu != 0) {
    TRY(netlink.ask("set the MTU", NetlinkMessage(RTM_NEWLINK, 0, link_of(index, 0, 0)).number(IFLA_MTU, network.mtu)));
  }
  TRY(bring_up(netlink, network.interface));
  TRY(add_address(netlink, index, network));
  if (!network.gateway.empty()) TRY(add_default_route(netlink, index, network));
  return {};
}

}  // namespace cofferdam::guest

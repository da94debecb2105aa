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

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace cofferdam::guest {
namespace {

// One request: a netlink header, a fixed struct, attributes.
template <class Body>
class Message {
 public:
  Message(std::uint16_t type, std::uint16_t flags, const Body& body) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&header_, sizeof header_);
    append(&body, sizeof body);
  }
  Message& attribute(std::uint16_t type, const void* data, std::size_t size) {
    const rtattr header{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
    append(&header, sizeof header);
    append(data, size);
    return *this;
  }
  Message& number(std::uint16_t type, std::uint32_t value) { return attribute(type, &value, sizeof value); }
  std::string finish() {
    header_.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return bytes_;
  }

 private:
  void append(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
  }
  nlmsghdr header_{};
  std::string bytes_;
};

class Netlink {
 public:
  static Result<Netlink> open() {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!fd) return fail_errno("open a netlink socket");
    const timeval limit{2, 0};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return fail_errno("netlink");
    return Netlink(std::move(fd));
  }

  // Waits for the kernel's verdict; `what` names the step.
  Status ask(std::string_view what, const std::string& message) {
    if (::send(fd_.get(), message.data(), message.size(), 0) < 0) return fail_errno(what);
    TRY_ASSIGN(const std::string answer, receive(what));
    nlmsghdr header{};
    nlmsgerr verdict{};
    if (answer.size() < sizeof header + sizeof verdict) return fail(Code::Internal, cat(what, ": short answer"));
    std::memcpy(&header, answer.data(), sizeof header);
    std::memcpy(&verdict, answer.data() + sizeof header, sizeof verdict);
    if (header.nlmsg_type != NLMSG_ERROR) return fail(Code::Internal, cat(what, ": unexpected answer"));
    if (verdict.error != 0) return fail(errno_error(what, -verdict.error));
    return {};
  }

  // The IPv4 addresses of an interface as the requests that delete them.
  Result<std::vector<std::string>> deletions(int index) {
    ifaddrmsg filter{};
    filter.ifa_family = AF_INET;
    // Dumps end with a message of their own instead of an acknowledgement.
    const std::string request = Message(RTM_GETADDR, NLM_F_DUMP, filter).finish();
    if (::send(fd_.get(), request.data(), request.size(), 0) < 0) return fail_errno("list addresses");
    std::vector<std::string> out;
    for (;;) {
      TRY_ASSIGN(const std::string answer, receive("list addresses"));
      for (std::size_t at = 0; at + sizeof(nlmsghdr) <= answer.size();) {
        nlmsghdr header{};
        std::memcpy(&header, answer.data() + at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > answer.size() - at) break;
        if (header.nlmsg_type == NLMSG_DONE) return out;
        if (header.nlmsg_type == NLMSG_ERROR) return fail(Code::Internal, "list addresses: refused");
        ifaddrmsg address{};
        const std::string_view body =
            std::string_view(answer).substr(at + sizeof header, header.nlmsg_len - sizeof header);
        if (header.nlmsg_type == RTM_NEWADDR && body.size() >= sizeof address) {
          std::memcpy(&address, body.data(), sizeof address);
          if (static_cast<int>(address.ifa_index) == index) {
            header.nlmsg_type = RTM_DELADDR;
            header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
            out.push_back(std::string(reinterpret_cast<const char*>(&header), sizeof header) + std::string(body));
          }
        }
        at += NLMSG_ALIGN(header.nlmsg_len);
      }
    }
  }

 private:
  explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<std::string> receive(std::string_view what) {
    std::string answer(16U << 10, '\0');
    const ssize_t n = ::recv(fd_.get(), answer.data(), answer.size(), 0);
    if (n < 0) return fail_errno(what);
    answer.resize(static_cast<std::size_t>(n));
    return answer;
  }
  UniqueFd fd_;
};

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
                     Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body)
                         .attribute(IFA_LOCAL, &address, sizeof address)
                         .attribute(IFA_ADDRESS, &address, sizeof address)
                         .finish());
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
                     Message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body)
                         .attribute(RTA_GATEWAY, &gateway, sizeof gateway)
                         .number(RTA_OIF, static_cast<std::uint32_t>(index))
                         .finish());
}

Status bring_up(Netlink& netlink, const std::string& interface) {
  TRY_ASSIGN(const int index, index_of(interface));
  return netlink.ask(cat("bring '", interface, "' up"),
                     Message(RTM_NEWLINK, 0, link_of(index, IFF_UP, IFF_UP)).finish());
}

// Nothing beyond the link speaks IPv6, and programs should not wait for it. Absent in a kernel without IPv6.
void disable_ipv6(const std::string& interface) {
  (void)write_control_file(cat("/proc/sys/net/ipv6/conf/", interface, "/disable_ipv6"), "1");
}

}  // namespace

Status bring_loopback_up() {
  TRY_ASSIGN(Netlink netlink, Netlink::open());
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
  TRY_ASSIGN(Netlink netlink, Netlink::open());
  if (network.mac) {
    TRY_ASSIGN(const UniqueFd control, open_card_control());
    TRY(set_mac(control, network.interface, *network.mac));
  }
  TRY_ASSIGN(const int index, index_of(network.interface));
  TRY_ASSIGN(const auto old_addresses, netlink.deletions(index));
  for (const auto& deletion : old_addresses) TRY(netlink.ask("remove an old address", deletion));
  disable_ipv6(network.interface);
  if (network.mtu != 0) {
    TRY(netlink.ask("set the MTU",
                    Message(RTM_NEWLINK, 0, link_of(index, 0, 0)).number(IFLA_MTU, network.mtu).finish()));
  }
  TRY(bring_up(netlink, network.interface));
  TRY(add_address(netlink, index, network));
  if (!network.gateway.empty()) TRY(add_default_route(netlink, index, network));
  return {};
}

}  // namespace cofferdam::guest

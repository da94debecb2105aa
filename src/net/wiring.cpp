#include "net/wiring.h"

#include <arpa/inet.h>
#include <linux/neighbour.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/file.h"
#include "base/netlink.h"
#include "base/text.h"
#include "net/namespace.h"

namespace cofferdam::net {
namespace {

constexpr const char* kTap = "tap0";
constexpr std::uint16_t kNamePort = 53;
constexpr int kBacklog = 1024;
constexpr unsigned char kHostPrefix = 32;

in_addr raw(const Address& address) {
  in_addr out{};
  // IPv4 is the last four of the sixteen.
  std::memcpy(&out, address.bytes().data() + 12, sizeof out);
  return out;
}

Result<unsigned> index_of(const char* interface) {
  const unsigned index = ::if_nametoindex(interface);
  if (index == 0) return fail_errno(cat("find '", interface, "' in a workspace's network namespace"));
  return index;
}

// A new namespace takes some of these from the host's.
Status close_kernel_ways() {
  constexpr std::pair<const char*, const char*> kSettings[] = {
      {"/proc/sys/net/ipv4/ip_forward", "0"},
      {"/proc/sys/net/ipv4/conf/all/forwarding", "0"},
      {"/proc/sys/net/ipv4/conf/tap0/forwarding", "0"},
      {"/proc/sys/net/ipv4/conf/all/accept_redirects", "0"},
      {"/proc/sys/net/ipv4/conf/tap0/accept_redirects", "0"},
      {"/proc/sys/net/ipv4/conf/all/send_redirects", "0"},
      {"/proc/sys/net/ipv4/conf/all/accept_source_route", "0"},
      {"/proc/sys/net/ipv4/conf/all/proxy_arp", "0"},
      {"/proc/sys/net/ipv4/conf/tap0/arp_ignore", "1"},
      {"/proc/sys/net/ipv4/conf/all/rp_filter", "1"},
      {"/proc/sys/net/ipv4/conf/tap0/rp_filter", "1"},
      {"/proc/sys/net/ipv4/icmp_echo_ignore_all", "1"},
  };
  for (const auto& [path, value] : kSettings) TRY(write_control_file(path, value));
  for (const char* path :
       {"/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6"}) {
    auto off = write_control_file(path, "1");
    if (!off && off.error().code != Code::NotFound) return off;  // NotFound: a kernel without IPv6
  }
  return {};
}

rtmsg route_message(unsigned char type, unsigned char prefix, unsigned char scope) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_dst_len = prefix;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = scope;
  body.rtm_type = type;
  return body;
}

Status set_addresses(const Pair& pair) {
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_ROUTE));
  TRY_ASSIGN(const unsigned tap, index_of(kTap));
  TRY_ASSIGN(const unsigned loopback, index_of("lo"));
  const in_addr gateway = raw(pair.gateway);
  const in_addr guest = raw(pair.guest);

  ifinfomsg link{};
  link.ifi_index = static_cast<int>(loopback);
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  TRY(netlink.ask("bring the loopback up", NetlinkMessage(RTM_NEWLINK, 0, link)));

  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = kHostPrefix;
  address.ifa_index = tap;
  TRY(netlink.ask("set the gateway's address", NetlinkMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address)
                                                   .attribute(IFA_LOCAL, &gateway, sizeof gateway)
                                                   .attribute(IFA_ADDRESS, &gateway, sizeof gateway)));
  TRY(netlink.ask("set the route to the guest", NetlinkMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE,
                                                               route_message(RTN_UNICAST, kHostPrefix, RT_SCOPE_LINK))
                                                    .attribute(RTA_DST, &guest, sizeof guest)
                                                    .attribute(RTA_PREFSRC, &gateway, sizeof gateway)
                                                    .number(RTA_OIF, tap)));
  // Everything else ends here, in the relay's socket: there is no way on.
  TRY(netlink.ask("let all addresses end here",
                  NetlinkMessage(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route_message(RTN_LOCAL, 0, RT_SCOPE_HOST))
                      .number(RTA_OIF, loopback)));
  // Known for good: the kernel need not ask, and no answer can change it.
  ndmsg neighbour{};
  neighbour.ndm_family = AF_INET;
  neighbour.ndm_ifindex = static_cast<int>(tap);
  neighbour.ndm_state = NUD_PERMANENT;
  return netlink.ask("pin the guest's card", NetlinkMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour)
                                                 .attribute(NDA_DST, &guest, sizeof guest)
                                                 .attribute(NDA_LLADDR, pair.mac.data(), pair.mac.size()));
}

enum class Transparent { no, yes };

Result<UniqueFd> bound_socket(int type, const Address& address, std::uint16_t port, Transparent transparent) {
  UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("make a socket for the gate");
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return fail_errno("share an address");
  if (transparent == Transparent::yes && ::setsockopt(socket.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on) != 0) {
    return fail_errno("let a socket of the gate's stand for all addresses");
  }
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr = raw(address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    return fail_errno(cat("bind ", address.text(), " port ", port, " for the gate"));
  }
  if (type == SOCK_STREAM && ::listen(socket.get(), kBacklog) != 0) return fail_errno("listen for the gate");
  return socket;
}

Result<GateSockets> make_sockets(const Pair& pair) {
  GateSockets sockets;
  TRY_ASSIGN(sockets.names_udp, bound_socket(SOCK_DGRAM, pair.gateway, kNamePort, Transparent::no));
  TRY_ASSIGN(sockets.names_tcp, bound_socket(SOCK_STREAM, pair.gateway, kNamePort, Transparent::no));
  TRY_ASSIGN(sockets.relay, bound_socket(SOCK_STREAM, pair.gateway, kRelayPort, Transparent::yes));
  return sockets;
}

NetlinkMessage log_config(std::uint16_t group) {
  nfgenmsg body{};
  body.nfgen_family = AF_UNSPEC;
  body.version = NFNETLINK_V0;
  body.res_id = htons(group);
  return {(NFNL_SUBSYS_ULOG << 8) | NFULNL_MSG_CONFIG, 0, body};
}

Result<UniqueFd> open_refusals() {
  TRY_ASSIGN(Netlink netlink, Netlink::open(NETLINK_NETFILTER));
  nfulnl_msg_config_cmd bind{};
  bind.command = NFULNL_CFG_CMD_BIND;
  TRY(netlink.ask("hear of refused packets", log_config(kRefusedGroup).attribute(NFULA_CFG_CMD, &bind, sizeof bind)));
  nfulnl_msg_config_mode mode{};
  mode.copy_range = htonl(64);
  mode.copy_mode = NFULNL_COPY_PACKET;
  TRY(netlink.ask("hear of refused packets", log_config(kRefusedGroup).attribute(NFULA_CFG_MODE, &mode, sizeof mode)));
  return std::move(netlink).take();
}

}  // namespace

Result<GateSockets> wire_up(const UniqueFd& name_space, const Pair& pair, const std::string& rules) {
  return inside(name_space, [&]() -> Result<GateSockets> {
    TRY(load_rules(rules));  // the wall stands before there is anything behind it
    TRY(close_kernel_ways());
    TRY(set_addresses(pair));
    return make_sockets(pair);
  });
}

Status change_rules(const UniqueFd& name_space, const std::string& rules) {
  return inside(name_space, [&] { return load_rules(rules); });
}

Result<std::vector<UniqueFd>> make_dial_sockets(const UniqueFd& name_space, std::size_t count) {
  return inside(name_space, [&]() -> Result<std::vector<UniqueFd>> {
    std::vector<UniqueFd> sockets;
    for (std::size_t i = 0; i < count; ++i) {
      UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!socket) return fail_errno("make a socket for the gate");
      sockets.push_back(std::move(socket));
    }
    return sockets;
  });
}

Result<UniqueFd> listen_for_refusals(const UniqueFd& name_space) { return inside(name_space, open_refusals); }

}  // namespace cofferdam::net

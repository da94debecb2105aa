#include "jail/wall.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/netlink.h"
#include "jail/tap.h"

namespace cofferdam::jail {
namespace {

// The same names that net/ uses, so that its rules replace these in one transaction.
constexpr char kTable[] = "cofferdam";
constexpr char kType[] = "filter";
constexpr std::int32_t kMangle = -150;

struct Chain {
  const char* name;
  std::uint32_t hook;
  std::int32_t priority;
};
constexpr Chain kGuest{"from_guest", NF_NETDEV_INGRESS, 0};
constexpr Chain kKernel[] = {
    {"inbound", NF_INET_PRE_ROUTING, kMangle}, {"forward", NF_INET_FORWARD, 0}, {"outbound", NF_INET_LOCAL_OUT, 0}};

NetlinkMessage message(std::uint16_t type, std::uint8_t family) {
  nfgenmsg body{};
  body.nfgen_family = family;
  body.version = NFNETLINK_V0;
  return {static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_CREATE, body};
}

void append(std::string& out, std::uint16_t type, const void* data, std::size_t size) {
  const rtattr header{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
  out.append(static_cast<const char*>(data), size);
  out.resize(NLMSG_ALIGN(out.size()), '\0');
}

void append_number(std::string& out, std::uint16_t type, std::uint32_t value) {
  const std::uint32_t number = htonl(value);
  append(out, type, &number, sizeof number);
}

NetlinkMessage text(NetlinkMessage to, std::uint16_t type, std::string_view value) {
  const std::string ended(value);
  return to.attribute(type, ended.c_str(), ended.size() + 1);
}

NetlinkMessage table(std::uint8_t family) { return text(message(NFT_MSG_NEWTABLE, family), NFTA_TABLE_NAME, kTable); }

enum class Device : std::uint8_t { none, tap };

NetlinkMessage drop_all(std::uint8_t family, const Chain& chain, Device device) {
  std::string hook;
  append_number(hook, NFTA_HOOK_HOOKNUM, chain.hook);
  append_number(hook, NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
  if (device == Device::tap) append(hook, NFTA_HOOK_DEV, kTapName, sizeof kTapName);
  auto whole = text(message(NFT_MSG_NEWCHAIN, family), NFTA_CHAIN_TABLE, kTable);
  whole = text(std::move(whole), NFTA_CHAIN_NAME, chain.name);
  whole.attribute(NFTA_CHAIN_HOOK | NLA_F_NESTED, hook.data(), hook.size());
  whole.number(NFTA_CHAIN_POLICY, htonl(NF_DROP));
  return text(std::move(whole), NFTA_CHAIN_TYPE, kType);
}

void add_kernel_chains(std::uint8_t family, std::vector<NetlinkMessage>& rules) {
  rules.push_back(table(family));
  for (const auto& chain : kKernel) rules.push_back(drop_all(family, chain, Device::none));
}

// Errors that say: this kernel has no such rules.
bool is_lacking(int error) {
  return error == EOPNOTSUPP || error == ENOENT || error == EAFNOSUPPORT || error == EPROTONOSUPPORT;
}

Status load(Netlink& netlink, const std::vector<NetlinkMessage>& rules) {
  TRY_ASSIGN(const int error, netlink.commit("raise the wall of packet rules", NFNL_SUBSYS_NFTABLES, rules));
  if (error == 0 || is_lacking(error)) return {};
  return fail(errno_error("raise the wall of packet rules", error).with_hint("coffer-jail needs CAP_NET_ADMIN"));
}

}  // namespace

Status raise_wall() {
  auto netlink = Netlink::open(NETLINK_NETFILTER);
  if (!netlink) {
    // The kernel may be built without netfilter; whatever else is wrong is wrong.
    return netlink.error().code == Code::Internal ? Status() : Status(fail(std::move(netlink.error())));
  }
  std::vector<NetlinkMessage> rules{table(NFPROTO_NETDEV), drop_all(NFPROTO_NETDEV, kGuest, Device::tap)};
  add_kernel_chains(NFPROTO_IPV4, rules);
  TRY(load(*netlink, rules));
  // Apart, for kernels without IPv6.
  rules.clear();
  add_kernel_chains(NFPROTO_IPV6, rules);
  return load(*netlink, rules);
}

}  // namespace cofferdam::jail

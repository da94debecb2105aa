#include "net/rules.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::net {
namespace {

constexpr unsigned kArpPerSecond = 20;
// Private, shared, loopback, link-local (metadata), protocol, test and benchmark ranges, multicast and above.
constexpr std::string_view kInside =
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.0.2.0/24, "
    "192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24, 224.0.0.0/3";
constexpr std::uint64_t kLeastBurst = 1U << 20;
// The gate's own sockets have ports from here on: nothing that listens in the namespace does.
constexpr unsigned kFirstFreePort = 1024;

// Of ranges that touch, nftables takes but one.
gate::Ports merged(gate::Ports ports) {
  std::sort(ports.begin(), ports.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  gate::Ports whole;
  for (const auto& range : ports) {
    if (!whole.empty() && range.first <= whole.back().last) {
      whole.back().last = std::max(whole.back().last, range.last);
    } else {
      whole.push_back(range);
    }
  }
  return whole;
}

std::string text_of(const gate::Ports& ports) {
  std::string text;
  for (const auto& range : merged(ports)) {
    text += cat(text.empty() ? "" : ", ", range.first);
    if (range.last != range.first) text += cat("-", range.last);
  }
  return cat("{ ", text, " }");
}

std::string rate(std::uint32_t per_second) {
  return per_second == 0 ? std::string() : cat("limit rate ", per_second, "/second burst ", per_second, " packets ");
}

std::string throttle(std::uint64_t bytes_per_second) {
  if (bytes_per_second == 0) return {};
  return cat("    limit rate over ", bytes_per_second, " bytes/second burst ",
             std::max(bytes_per_second / 4, kLeastBurst), " bytes drop\n");
}

}  // namespace

std::string ruleset(const Pair& pair, const Openings& openings, const gate::Limits& limits) {
  const std::string guest = pair.guest.text();
  const std::string gateway = pair.gateway.text();
  const std::string mac = mac_text(pair.mac);
  const bool resolves = openings.resolver == Openings::Resolver::open;
  // What a server in the guest answers to the gate: never the beginning of a connection.
  std::string answers;
  if (!openings.servers.empty()) {
    answers = cat("ip daddr ", gateway, " tcp sport ", text_of(openings.servers), " tcp dport >= ", kFirstFreePort,
                  " tcp flags & (syn | ack) != syn accept\n");
  }
  std::string text =
      "add table netdev cofferdam\ndelete table netdev cofferdam\nadd table ip cofferdam\ndelete table ip cofferdam\n";

  text += "table netdev cofferdam {\n";
  text += cat("  chain refused {\n    limit rate ", kRefusalsPerSecond, "/second burst ", kRefusalsPerSecond,
              " packets log group ", kRefusedGroup, " snaplen 64\n    drop\n  }\n");
  text += cat("  chain admit {\n    ", rate(limits.connections_per_second), "accept\n    drop\n  }\n");
  text += "  chain beginning {\n";
  if (resolves) text += cat("    ip daddr ", gateway, " tcp dport 53 goto admit\n");
  for (const auto& target : openings.targets) {
    text += cat("    ip daddr ", target.range, " tcp dport ", text_of(target.ports), " goto admit\n");
  }
  if (!openings.public_targets.empty()) text += cat("    ip daddr { ", kInside, " } goto refused\n");
  for (const auto& target : openings.public_targets) {
    text += cat("    ip daddr ", target.range, " tcp dport ", text_of(target.ports), " goto admit\n");
  }
  text += "    goto refused\n  }\n";
  text += "  chain from_guest {\n    type filter hook ingress device \"tap0\" priority 0; policy drop;\n";
  text += cat("    ether saddr != ", mac, " drop\n");
  text += throttle(limits.bytes_per_second);
  text += cat("    arp operation { request, reply } arp saddr ether ", mac, " arp saddr ip ", guest, " arp daddr ip ",
              gateway, " limit rate ", kArpPerSecond, "/second accept\n");
  text += "    ether type != ip drop\n";
  text += cat("    ip saddr != ", guest, " drop\n");
  // Pieces of packets have no ports to be judged by.
  text += "    ip frag-off & 0x3fff != 0 goto refused\n";
  if (resolves) text += cat("    ip daddr ", gateway, " udp dport 53 ", rate(limits.dns_per_second), "accept\n");
  text += "    ip protocol != tcp goto refused\n";
  if (!answers.empty()) text += cat("    ", answers);
  if (!openings.targets.empty() || !openings.public_targets.empty() || resolves) {
    text += "    tcp flags & (syn | ack) == syn goto beginning\n";
    // No socket, no answer: see `outbound`.
    text += "    accept\n";
  } else {
    text += "    goto refused\n";
  }
  text += "  }\n}\n";

  text += "table ip cofferdam {\n";
  text += "  chain inbound {\n    type filter hook prerouting priority mangle; policy drop;\n";
  text += "    iifname != \"tap0\" drop\n";
  if (resolves) text += cat("    ip daddr ", gateway, " meta l4proto { tcp, udp } th dport 53 accept\n");
  if (!answers.empty()) text += cat("    ", answers);
  text += cat("    ip daddr != ", gateway, " meta l4proto tcp tproxy to ", gateway, ":", kRelayPort, " accept\n  }\n");
  text += "  chain forward {\n    type filter hook forward priority 0; policy drop;\n  }\n";
  text += "  chain outbound {\n    type filter hook output priority 0; policy drop;\n";
  text += cat("    oifname != \"tap0\" drop\n    ip daddr != ", guest, " drop\n");
  text += throttle(limits.bytes_per_second);
  text += cat("    ip saddr ", gateway, " udp sport 53 accept\n");
  // The kernel's own "nobody is there", as when the gate is away, is silence.
  text += "    tcp flags & (rst | ack) == rst drop\n    tcp flags & rst == rst tcp sequence 0 drop\n";
  text += "    meta l4proto tcp accept\n  }\n}\n";
  return text;
}

}  // namespace cofferdam::net

// What is said to an HTTP proxy, and what it may answer: CONNECT, and the head of the response. A proxy that a
// workspace's user chose is as hostile as any server.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cofferdam::gate {

inline constexpr std::size_t kMaxProxyAnswer = 8192;  // of the head

// `host`: a name, or an address as text; IPv6 gets its brackets here. `login`: "USER:PASSWORD", or nothing.
std::string connect_request(std::string_view host, std::uint16_t port, std::string_view login);

enum class ProxyAnswer : std::uint8_t {
  more,      // the head is not whole
  accepted,  // `head` bytes of it; what is behind them is the destination's
  refused,   // another status than 2xx, or no HTTP
};
struct ProxyVerdict {
  ProxyAnswer answer = ProxyAnswer::more;
  std::size_t head = 0;
};
ProxyVerdict read_proxy_answer(std::string_view seen);

}  // namespace cofferdam::gate

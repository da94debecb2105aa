// TCP addresses as text, and the sockets behind them.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::http {

struct TcpAddress {
  std::string host;  // "127.0.0.1", "::1"; of a client's target also a name
  std::uint16_t port = 0;

  // "127.0.0.1:7070", "[::1]:7070".
  [[nodiscard]] std::string text() const;
};

// "HOST:PORT" with a numeric address, IPv6 in brackets. Port 0 lets the kernel choose one. InvalidArgument else.
Result<TcpAddress> parse_tcp_address(std::string_view text);
// The same where HOST may also be a name, and the port may be missing.
Result<TcpAddress> parse_host_and_port(std::string_view text, std::uint16_t default_port);
[[nodiscard]] bool is_loopback(const TcpAddress& address);

struct TcpListening {
  UniqueFd socket;
  TcpAddress address;  // with the port that was really bound
};
// IPv6 sockets take IPv6 only: what an address means does not hang on another listener. Unavailable: the port is taken.
Result<TcpListening> listen_on_tcp(const TcpAddress& address);

// Where an accepted socket comes from: the address without its port.
Result<std::string> source_address_of(int socket);
// What limits by source count as one: an IPv4 address, or the /64 network of an IPv6 one.
std::string source_network(const std::string& address);

// Small answers leave at once; a peer that vanished, or that takes nothing for `silence`, is noticed.
void set_up_tcp(int socket, std::chrono::milliseconds silence);

}  // namespace cofferdam::http

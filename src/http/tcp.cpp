#include "http/tcp.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace cofferdam::http {
namespace {

constexpr int kBacklog = 512;
constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kNetworkBytes = 8;  // a /64: what one IPv6 customer has at least

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

bool is_name(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHost && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.';
  });
}

// The length of what was filled in; 0 when the host is no numeric address.
socklen_t fill_in(const TcpAddress& address, AnyAddress& out) {
  std::memset(&out, 0, sizeof out);
  if (::inet_pton(AF_INET, address.host.c_str(), &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(address.port);
    return sizeof out.v4;
  }
  if (::inet_pton(AF_INET6, address.host.c_str(), &out.v6.sin6_addr) == 1) {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(address.port);
    return sizeof out.v6;
  }
  return 0;
}

Result<TcpAddress> to_address(const AnyAddress& from) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  TcpAddress address;
  if (from.any.sa_family == AF_INET) {
    ::inet_ntop(AF_INET, &from.v4.sin_addr, text.data(), text.size());
    address.port = ntohs(from.v4.sin_port);
  } else if (from.any.sa_family == AF_INET6) {
    ::inet_ntop(AF_INET6, &from.v6.sin6_addr, text.data(), text.size());
    address.port = ntohs(from.v6.sin6_port);
  } else {
    return fail(Code::Internal, "the socket is no TCP socket");
  }
  address.host = text.data();
  return address;
}

Status set_option(int socket, int level, int name, int value, const char* what) {
  if (::setsockopt(socket, level, name, &value, sizeof value) == 0) return {};
  return fail_errno(cat("set ", what, " of a socket"));
}

}  // namespace

std::string TcpAddress::text() const {
  return host.find(':') == std::string::npos ? cat(host, ":", port) : cat("[", host, "]:", port);
}

Result<TcpAddress> parse_host_and_port(std::string_view text, std::uint16_t default_port) {
  const auto refused = [text](std::string_view why) {
    return fail(Code::InvalidArgument, cat("'", text, "' is no address: ", why),
                "write it like 127.0.0.1:7070 or [::1]:7070");
  };
  TcpAddress address;
  address.port = default_port;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return refused("the bracket is not closed");
    address.host = std::string(text.substr(1, close - 1));
    in6_addr ignored{};
    if (::inet_pton(AF_INET6, address.host.c_str(), &ignored) != 1) return refused("no IPv6 address in the brackets");
    rest = text.substr(close + 1);
  } else {
    const auto colon = text.find(':');
    if (colon != text.rfind(':')) return refused("an IPv6 address stands in brackets");
    address.host = std::string(text.substr(0, colon));
    if (!is_name(address.host)) return refused("no host");
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (rest.empty()) return address;
  if (rest[0] != ':') return refused("a ':' and the port must follow");
  const auto port = parse_int("the port", rest.substr(1), 0, 65'535);
  if (!port) return refused(port.error().message);
  address.port = static_cast<std::uint16_t>(*port);
  return address;
}

Result<TcpAddress> parse_tcp_address(std::string_view text) {
  TRY_ASSIGN(TcpAddress address, parse_host_and_port(text, 0));
  AnyAddress numeric;
  const bool has_port = text.find(':') != std::string_view::npos && !text.ends_with(']');
  if (has_port && fill_in(address, numeric) != 0) return address;
  return fail(Code::InvalidArgument,
              cat("'", text, "' is no address: ", has_port ? "the host must be a number" : "the port is missing"),
              "write it like 127.0.0.1:7070 or [::1]:7070");
}

bool is_loopback(const TcpAddress& address) {
  AnyAddress numeric;
  if (fill_in(address, numeric) == 0) return address.host == "localhost";
  if (numeric.any.sa_family == AF_INET) return (ntohl(numeric.v4.sin_addr.s_addr) >> 24) == 127;
  return IN6_IS_ADDR_LOOPBACK(&numeric.v6.sin6_addr) != 0;
}

Result<TcpListening> listen_on_tcp(const TcpAddress& address) {
  const std::string what = cat("listen on ", address.text());
  AnyAddress to;
  const socklen_t size = fill_in(address, to);
  if (size == 0) return fail(Code::InvalidArgument, cat(what, ": the host is no numeric address"));
  TcpListening made;
  made.socket = UniqueFd(::socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  if (!made.socket) return fail_errno(what);
  const int fd = made.socket.get();
  TRY(set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"));
  if (to.any.sa_family == AF_INET6) TRY(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY"));
  if (::bind(fd, &to.any, size) != 0 || ::listen(fd, kBacklog) != 0) {
    const int why = errno;
    Error error = errno_error(what, why);
    if (why == EADDRINUSE) {
      error.code = Code::Unavailable;
      error.hint = "another program has this port: choose another one, or stop that program";
    } else if (why == EADDRNOTAVAIL) {
      error.code = Code::InvalidArgument;
      error.hint = "this host has no such address: see `ip address`";
    }
    return fail(std::move(error));
  }
  AnyAddress bound;
  socklen_t bound_size = sizeof bound;
  if (::getsockname(fd, &bound.any, &bound_size) != 0) return fail_errno(what);
  TRY_ASSIGN(made.address, to_address(bound));
  return made;
}

Result<std::string> source_address_of(int socket) {
  AnyAddress peer;
  socklen_t size = sizeof peer;
  if (::getpeername(socket, &peer.any, &size) != 0) return fail_errno("read the address of the peer");
  TRY_ASSIGN(TcpAddress address, to_address(peer));
  return std::move(address.host);
}

std::string source_network(const std::string& address) {
  in6_addr v6{};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) != 1) return address;
  return to_hex({reinterpret_cast<const char*>(&v6), kNetworkBytes});
}

void set_up_tcp(int socket, std::chrono::milliseconds silence) {
  // A socket that takes none of these still works.
  (void)::fcntl(socket, F_SETFD, FD_CLOEXEC);
  (void)set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
  (void)set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(silence.count()), "TCP_USER_TIMEOUT");
  (void)set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
  (void)set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 60, "TCP_KEEPIDLE");
  (void)set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15, "TCP_KEEPINTVL");
  (void)set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 4, "TCP_KEEPCNT");
}

}  // namespace cofferdam::http

// Where a client connects to, and the connecting.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/stream.h"
#include "http/tcp.h"
#include "http/tls.h"

namespace cofferdam::http {

struct Endpoint {
  std::string socket_path;  // a Unix socket; empty: TCP
  TcpAddress address;
  std::optional<TlsTrust> tls;  // over TCP only; nothing: no TLS
  // Asked for every address that a name stands for, before it is connected to; empty: any will do.
  std::function<Status(const std::string& address)> allow;

  // What a request says in Host.
  [[nodiscard]] std::string host() const;
  // For messages: the path, or the URL.
  [[nodiscard]] std::string text() const;
};

Endpoint unix_endpoint(std::string socket_path);
// "unix:/run/x.sock", "unix:///run/x.sock", "http://host:port", "https://host:port" (which believes `trust`). A path
// behind the port must be "/" or absent. InvalidArgument else.
Result<Endpoint> parse_endpoint(std::string_view url, TlsTrust trust = {});

// Unavailable: nobody listens there, or the name is not known; PermissionDenied: the socket may not be opened;
// DeadlineExceeded; Unauthenticated: the server's certificate is not trusted. With TLS the handshake is done.
Task<std::unique_ptr<Stream>> connect_to(Endpoint endpoint);

}  // namespace cofferdam::http

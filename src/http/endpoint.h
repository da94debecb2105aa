// Where a client connects to, and the connecting.
#pragma once
#include <boost/asio/generic/stream_protocol.hpp>
#include <string>
#include <string_view>

#include "http/tcp.h"
#include "loop/task.h"

namespace cofferdam::http {

using loop::Task;
using StreamSocket = loop::asio::generic::stream_protocol::socket;

struct Endpoint {
  std::string socket_path;  // a Unix socket; empty: TCP
  TcpAddress address;

  // What a request says in Host.
  [[nodiscard]] std::string host() const;
  // For messages: the path, or the URL.
  [[nodiscard]] std::string text() const;
};

Endpoint unix_endpoint(std::string socket_path);
// "unix:/run/x.sock", "unix:///run/x.sock", "http://host:port". A path behind the port must be "/" or absent.
// InvalidArgument else.
Result<Endpoint> parse_endpoint(std::string_view url);

// Unavailable: nobody listens there, or the name is not known; PermissionDenied: the socket may not be opened;
// DeadlineExceeded.
Task<StreamSocket> connect_to(Endpoint endpoint);

}  // namespace cofferdam::http

// Listens, accepts, and runs one connection task per client.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "http/message.h"
#include "http/tcp.h"
#include "http/tls.h"

namespace cofferdam::http {

struct ServerOptions {
  // Of Unix sockets, and as many again of TCP: a flood from outside never locks the local administrator out. More are
  // answered 503 and closed.
  std::size_t max_connections = 1024;
  // Of TCP, from one IPv4 address or one IPv6 /64.
  std::size_t max_connections_per_source = 512;
  std::size_t max_header_bytes = 16U << 10;
  std::chrono::milliseconds handshake_timeout = std::chrono::seconds(10);  // of TLS
  std::chrono::milliseconds header_timeout = std::chrono::seconds(10);  // from the first byte of a request to its end
  std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);    // between requests
  std::chrono::milliseconds body_timeout = std::chrono::seconds(30);    // for each read of a body
  // Bytes a second that a TCP client must send of a body on average, beyond the first `body_timeout`; 0: any.
  std::size_t min_body_rate = 500;
  std::chrono::milliseconds write_timeout = std::chrono::seconds(120);  // for each piece of an answer
  std::chrono::milliseconds ping_interval = std::chrono::seconds(30);   // of WebSockets
};

// Decides at accept time whether a peer is served; an error is its 403.
using AllowPeer = std::function<Status(const Peer& peer)>;

class Server {
 public:
  Server(loop::asio::any_io_executor executor, ServerOptions options, Handler handler, ErrorFormat error_format);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // must be stopped before

  // Starts accepting on a listening Unix stream socket. Any number of listeners.
  Status listen_unix(UniqueFd listening, AllowPeer allow);
  // Binds, and starts accepting; with `tls`, connections that do not speak it are cut. Answers the address with the
  // port that was bound. See listen_on_tcp for errors.
  Result<TcpAddress> listen_tcp(const TcpAddress& address, AllowPeer allow,
                                std::shared_ptr<const TlsIdentity> tls = {});
  // Accepts no more, closes idle connections, waits at most `grace` for running requests, then cancels them. All have
  // ended when it returns.
  Task<void> stop(std::chrono::milliseconds grace);
  [[nodiscard]] std::size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cofferdam::http

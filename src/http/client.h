// An HTTP/1.1 client on one keep-alive connection, to a Unix socket or over TCP.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "http/endpoint.h"
#include "http/message.h"
#include "http/websocket.h"

namespace cofferdam::http {

// Give `body`, or `source` (sent with Content-Length when `source_length` is known, else chunked).
struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";  // already encoded, see url.h
  Headers headers;
  std::string body;
  std::unique_ptr<BodySource> source;
  std::optional<std::uint64_t> source_length;
  // Until the head of the answer has come, counted from when the request was sent.
  std::chrono::milliseconds answer_timeout = std::chrono::minutes(10);
};

namespace detail {
struct ClientState;
}

// The answer to a request. Read its body to the end, or the connection is closed and the next request opens a new one.
class ClientResponse : public BodySource {
 public:
  ~ClientResponse() override;
  int status = 0;
  Headers headers;
  // The next piece of the body (at most 64 KiB); empty at the end.
  Task<std::string> next() override;
  // OutOfRange when it is longer than `max_bytes`.
  Task<std::string> read_all(std::size_t max_bytes);

 private:
  friend class Client;
  explicit ClientResponse(std::shared_ptr<detail::ClientState> state) : state_(std::move(state)) {}
  std::shared_ptr<detail::ClientState> state_;
  bool ended_ = false;
};

// One request at a time: the next only after the answer before it was read or dropped.
class Client {
 public:
  Client(loop::asio::any_io_executor executor, Endpoint endpoint);
  Client(loop::asio::any_io_executor executor, std::string socket_path);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // The errors of connect_to, and Unavailable: the connection was lost. Any HTTP status is an answer, not an error. A
  // kept connection that the server has closed in the meantime is replaced once when nothing was answered and the body
  // can be sent again.
  Task<std::unique_ptr<ClientResponse>> request(ClientRequest request);
  // On a connection of its own; see WebSocket::connect.
  Task<std::unique_ptr<WebSocket>> websocket(std::string target, Headers headers);

 private:
  std::shared_ptr<detail::ClientState> state_;
};

struct FdSource {
  std::unique_ptr<BodySource> source;
  std::optional<std::uint64_t> length;  // of a regular file: from its offset to its end
};
// The bytes of a descriptor (file, pipe, terminal) from where it stands, as the body of a request.
Result<FdSource> source_of(const loop::asio::any_io_executor& executor, UniqueFd fd);

}  // namespace cofferdam::http

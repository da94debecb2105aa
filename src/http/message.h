// HTTP messages as plain values: what a handler gets, and what it answers.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/peer.h"
#include "loop/task.h"

namespace cofferdam::http {

using loop::Task;

class WebSocket;

// Bytes in one direction, pulled piece by piece: whoever sends asks for the next piece only when the last has gone out.
class BodySource {
 public:
  BodySource() = default;
  BodySource(const BodySource&) = delete;
  BodySource& operator=(const BodySource&) = delete;
  virtual ~BodySource() = default;
  // The next piece (64 KiB is a good size); empty at the end. One call at a time.
  virtual Task<std::string> next() = 0;
  // True when the next piece may be long in coming: the server then watches whether the reader is still there, and
  // cancels next() when it is not.
  [[nodiscard]] virtual bool may_wait() const { return false; }
};

// In the order of arrival; names compare without case.
class Headers {
 public:
  using Item = std::pair<std::string, std::string>;
  Headers() = default;
  Headers(std::initializer_list<Item> items) : items_(items) {}

  void reserve(std::size_t fields) { items_.reserve(fields); }
  void add(std::string name, std::string value) { items_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);  // replaces all of this name
  // The first of this name; nullptr when there is none.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // True when a comma-separated list header holds `token` (compared without case).
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const;
  [[nodiscard]] const std::vector<Item>& items() const { return items_; }

 private:
  std::vector<Item> items_;
};

class ByteStream;

// The body of a request that is being received.
class RequestBody : public BodySource {
 public:
  // The same as next(), once the connection is a tunnel's: `client` is that connection, and nobody else reads from it.
  virtual Task<std::string> next_from(ByteStream& client) = 0;
  // The whole rest; OutOfRange when it is longer than `max_bytes`.
  Task<std::string> read_all(std::size_t max_bytes);
  // From Content-Length; nullopt when chunked.
  [[nodiscard]] virtual std::optional<std::uint64_t> length() const = 0;
  // The HTTP status that fits a failed read (400, 408, 413); 0 when none failed.
  [[nodiscard]] int failure_status() const { return failure_status_; }

 protected:
  int failure_status_ = 0;
};

struct Request {
  std::string id;                                          // "req_…", also in the answer's X-Request-Id
  std::string method;                                      // as sent: "GET"
  std::string target;                                      // as sent
  int minor_version = 1;                                   // of HTTP/1
  std::vector<std::string> segments;                       // of the path, decoded: "/a/b%20c" is {"a", "b c"}
  std::vector<std::pair<std::string, std::string>> query;  // decoded, in order
  Headers headers;
  RequestBody* body = nullptr;  // never null in a handler; lives as long as the request
  // What a handler has put in front of `body`, if anything: it lives as long as the request too.
  std::shared_ptr<RequestBody> wrapped_body;
  Peer peer;

  // The first query parameter of this name; nullptr when there is none.
  [[nodiscard]] const std::string* find_query(std::string_view name) const;
  // All of this name, in order.
  [[nodiscard]] std::vector<std::string_view> query_values(std::string_view name) const;
};

// What happens on a connection that was upgraded. The connection is closed when run() has returned.
class WebSocketSession {
 public:
  WebSocketSession() = default;
  WebSocketSession(const WebSocketSession&) = delete;
  WebSocketSession& operator=(const WebSocketSession&) = delete;
  virtual ~WebSocketSession() = default;
  // `socket` outlives the task.
  virtual Task<void> run(WebSocket& socket) = 0;
};

// The bytes of a client's connection, both ways, once a tunnel has been agreed on. One reader and one writer at a time,
// both at once is fine.
class ByteStream {
 public:
  ByteStream() = default;
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;
  virtual ~ByteStream() = default;
  // At most 64 KiB; empty when the client has ended its side.
  virtual Task<std::string> read() = 0;
  virtual Task<void> write(std::string bytes) = 0;
};

// What happens on a connection that carries somebody else's protocol. The connection is closed when run() has returned.
class Tunnel {
 public:
  Tunnel() = default;
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  virtual ~Tunnel() = default;
  // `client` outlives the task.
  virtual Task<void> run(ByteStream& client) = 0;
};

// Give `body`, or `source` (sent with Content-Length when `source_length` is known, else chunked), or `websocket`.
struct Response {
  int status = 200;
  Headers headers;
  std::string body;
  std::unique_ptr<BodySource> source;
  std::optional<std::uint64_t> source_length;
  // Upgrades the connection; `status` is then ignored, and a Sec-WebSocket-Protocol in `headers` is the chosen one.
  // A request that asks for no upgrade is answered with 426.
  std::unique_ptr<WebSocketSession> websocket;
  // `status` and `headers` go out as they are, without a body; then the connection is the tunnel's.
  std::unique_ptr<Tunnel> tunnel;
};

// `request` outlives the task and the sending of the answer. An error becomes the answer that ErrorFormat makes of it.
using Handler = std::function<Task<Response>(Request& request)>;
// The answer for a failed request; `status` is an HTTP status that fits.
using ErrorFormat = std::function<Response(const Request& request, int status, const Error& error)>;

std::string_view reason_phrase(int status);

}  // namespace cofferdam::http

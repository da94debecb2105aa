// One WebSocket connection (RFC 6455), either end. No compression.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/message.h"
#include "http/transport.h"
#include "loop/task.h"

namespace cofferdam::http {

// One reader; any number of writers.
class WebSocket {
 public:
  enum class Kind { text, binary };
  struct Message {
    Kind kind = Kind::binary;
    std::string bytes;
  };
  // A longer message of the peer closes the connection with 1009.
  static constexpr std::size_t kMaxMessageBytes = (64U << 10) + 1;
  static constexpr std::chrono::seconds kHandshakeTimeout{10};

  // Answers the upgrade that `request` asks for; `answer` holds extra headers. An error: the answer said so already.
  static Task<std::unique_ptr<WebSocket>> accept(Transport transport, const Request& request, Headers answer);
  // The client's side. `headers` holds extra headers, such as Sec-WebSocket-Protocol. An answer other than 101 fails
  // with the code that fits the status, and the answer's body as message.
  static Task<std::unique_ptr<WebSocket>> connect(Transport transport, std::string host, std::string target,
                                                  Headers headers);

  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;
  ~WebSocket();  // closes the socket without a close frame

  // The next message; nullopt when the peer closed in order. A cancelled read breaks the connection.
  Task<std::optional<Message>> read();
  // Returns when the socket has taken it: a peer that does not read holds the writer back.
  Task<void> write(Kind kind, std::string bytes);
  // Sends a close frame and waits for the peer's, at most kCloseTimeout. Fine while read() is running.
  Task<void> close(std::uint16_t code, std::string reason = {});
  static constexpr std::chrono::seconds kCloseTimeout{5};
  // Pings the peer every `interval` until the connection fails, which it then cuts. Run it beside the rest.
  Task<void> keep_alive(std::chrono::steady_clock::duration interval);
  // Returns when the connection is lost, which is also noticed while nobody reads; an error only when cancelled.
  Task<void> wait_until_lost();
  // The code of the peer's close frame; 0 when there was none.
  [[nodiscard]] std::uint16_t peer_close_code() const;
  // How the peer has broken the protocol; empty when it has not.
  [[nodiscard]] const std::string& violation() const;
  // Cuts the connection now: every running call on this object fails.
  void cut();

 private:
  struct Impl;
  explicit WebSocket(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cofferdam::http

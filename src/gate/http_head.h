// The heads of HTTP/1 requests on one connection, and enough of their bodies to find the next head. Strict: what two
// servers could read in two ways is refused, because the one behind us might take the other.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "gate/control.h"
#include "gate/policy.h"

namespace cofferdam::gate {

inline constexpr std::size_t kMaxHttpHead = 32U << 10;
inline constexpr std::size_t kMaxHttpFields = 128;

enum class BodyKind : std::uint8_t { none, length, chunked };

struct RequestHead {
  std::string method;
  std::string host;             // lower case, without the port
  std::uint16_t host_port = 0;  // 0: none was given
  BodyKind body = BodyKind::none;
  std::uint64_t length = 0;
  enum class Upgrading : std::uint8_t { no, yes } upgrading = Upgrading::no;
};

// `head` ends with its empty line. InvalidArgument: CONNECT, no Host or two, folded lines, a line end that is not CRLF,
// Content-Length beside Transfer-Encoding, any transfer coding but "chunked", a target whose authority is not the Host,
// and everything that is no HTTP/1.0 or 1.1 request.
Result<RequestHead> parse_request_head(std::string_view head);

// Follows the requests of one connection to `name`.
class HttpRequests {
 public:
  HttpRequests(std::string name, std::uint16_t port, Upgrade upgrade)
      : name_(std::move(name)), port_(port), upgrade_(upgrade) {}

  struct Scan {
    std::size_t pass = 0;  // so many bytes from the front may be sent on
    FlowReason refused = FlowReason::none;
  };
  // `bytes` is what has come and was not passed yet. What is not passed must be given again with more behind it.
  Scan scan(std::string_view bytes);

  // Waiting for more of a head, or for its start.
  [[nodiscard]] bool in_head() const { return state_ == State::head; }
  // A request to upgrade was passed: nothing more is, until the answer's status is known.
  [[nodiscard]] bool waits_for_answer() const { return state_ == State::upgrading; }
  // The answer was not 101: it goes on with requests.
  void not_upgraded() { state_ = State::head; }
  void set_upgrade(Upgrade upgrade) { upgrade_ = upgrade; }
  [[nodiscard]] const std::string& last_host() const { return last_host_; }

 private:
  enum class State : std::uint8_t { head, body, chunk_size, chunk_data, chunk_end, last_chunk_end, upgrading };
  Scan scan_one(std::string_view bytes);
  Scan scan_head(std::string_view bytes);
  Scan scan_chunk_size(std::string_view bytes);
  Scan expect_line_end(std::string_view bytes, State next);

  std::string name_;
  std::uint16_t port_;
  Upgrade upgrade_;
  State state_ = State::head;
  std::uint64_t left_ = 0;  // of a body or a chunk
  bool first_ = true;
  std::string last_host_;
};

}  // namespace cofferdam::gate

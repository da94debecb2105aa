// Incremental HTTP/1.1 parsers for hostile bytes: the head, then the body with its framing taken off.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace cofferdam::http {

struct Head {
  std::string method;  // of a request
  std::string target;  // of a request
  int status = 0;      // of a response
  int minor_version = 1;
  Headers headers;
};

inline constexpr std::size_t kMaxHeaderFields = 128;
// More decoded body bytes than this are never held.
inline constexpr std::size_t kBodyPiece = 64U << 10;

enum class MessageKind { request, response, response_to_head };

class Parser {
 public:
  Parser(MessageKind kind, std::size_t max_header_bytes);
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;
  ~Parser();

  // Takes what it can use of `bytes` and says how much that was; it stops at the end of the head, at kBodyPiece of
  // decoded body, and at the end of the message. Less than all elsewhere: the rest must be given again with more behind
  // it. After an error, failure_status() is the HTTP status for it, and the parser is of no more use.
  Result<std::size_t> put(std::string_view bytes);
  // The connection has ended: DataLoss when that cuts the message short.
  Status put_end();

  [[nodiscard]] bool head_done() const;
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool keep_alive() const;  // once head_done()
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;
  [[nodiscard]] int failure_status() const;
  Head& head();
  // The body bytes decoded since the last call.
  std::string take_body();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cofferdam::http

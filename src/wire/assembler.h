// Puts Requests and Responses that came in several frames together again, within bounds.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "wire/frame.h"

namespace cofferdam::wire {

class Assembler {
 public:
  // So many unfinished messages at once, of at most kMaxMessage bytes each and `max_total` together.
  static constexpr std::size_t kMaxUnfinished = 16;
  explicit Assembler(std::size_t max_total = 8U << 20) : max_total_(max_total) {}

  // Takes a Request or Response frame. The whole message's bytes once its last frame is there, nothing before. After an
  // error (ResourceExhausted) the rest of that message must be skipped: the sender broke the protocol.
  Result<std::optional<std::string>> add(const FrameView& frame);
  void clear();

 private:
  std::size_t max_total_;
  std::size_t total_ = 0;
  std::map<std::uint32_t, std::string> unfinished_;
};

}  // namespace cofferdam::wire

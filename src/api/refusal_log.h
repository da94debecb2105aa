// A line in the daemon's log for every request that is refused; a flood of them leaves a count.
#pragma once
#include <chrono>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace cofferdam::api {

// Used on the loop only.
class RefusalLog {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr double kBurst = 100, kPerSecond = 10;

  // `who`: an id, or empty for who was not known. Of the target the path alone is written, and not all of a long one.
  void note(const http::Request& request, int status, std::string_view who, std::string_view why);
  // Whether one line more may be written now. Those that may not are counted, and the next line says how many.
  bool admit(Clock::time_point now);
  [[nodiscard]] std::uint64_t suppressed() const { return suppressed_; }

 private:
  double room_ = kBurst;
  Clock::time_point refilled_at_;
  std::uint64_t suppressed_ = 0;
};

}  // namespace cofferdam::api

// A rate: so many tokens a second, at most one second's worth saved up (or `burst`).
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace cofferdam::gate {

class TokenBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // A rate of 0 is no limit.
  TokenBucket(std::uint64_t per_second, std::uint64_t burst, Time now)
      : per_second_(per_second), burst_(burst), tokens_(burst), at_(now) {}
  TokenBucket(std::uint64_t per_second, Time now) : TokenBucket(per_second, per_second, now) {}

  // What may be taken now, at most `wanted`.
  std::uint64_t available(std::uint64_t wanted, Time now) {
    if (per_second_ == 0) return wanted;
    refill(now);
    return std::min(wanted, tokens_);
  }
  void take(std::uint64_t tokens) { tokens_ -= std::min(tokens, tokens_); }
  bool take_one(Time now) {
    if (per_second_ == 0) return true;
    if (available(1, now) == 0) return false;
    take(1);
    return true;
  }
  // A new rate; what was saved up stays, up to the new bound.
  void set_rate(std::uint64_t per_second, Time now) {
    if (per_second == per_second_) return;
    refill(now);
    tokens_ = per_second_ == 0 ? per_second : std::min(tokens_, per_second);
    per_second_ = per_second;
    burst_ = per_second;
  }

 private:
  void refill(Time now) {
    const auto passed = std::chrono::duration_cast<std::chrono::microseconds>(now - at_);
    if (passed >= std::chrono::seconds(1)) {
      tokens_ = std::min(burst_, tokens_ + std::max(per_second_, burst_));
      at_ = now;
      return;
    }
    const std::uint64_t earned = per_second_ / 1'000'000 * static_cast<std::uint64_t>(passed.count()) +
                                 per_second_ % 1'000'000 * static_cast<std::uint64_t>(passed.count()) / 1'000'000;
    if (earned == 0) return;  // the time goes on counting
    tokens_ = std::min(burst_, tokens_ + earned);
    at_ = now;
  }

  std::uint64_t per_second_;
  std::uint64_t burst_;
  std::uint64_t tokens_;
  Time at_;
};

}  // namespace cofferdam::gate

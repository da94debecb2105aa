// The time, given from outside, so that tests can let a month pass. Stored as milliseconds since 1970.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>

namespace cofferdam::identity {

using Time = std::chrono::system_clock::time_point;

struct Clock {
  std::function<Time()> wall = std::chrono::system_clock::now;
  std::function<std::chrono::steady_clock::time_point()> steady = std::chrono::steady_clock::now;

  // As it is stored: a time that was written and read again is the same.
  [[nodiscard]] Time now() const { return std::chrono::floor<std::chrono::milliseconds>(wall()); }
};

inline std::int64_t to_unix_ms(Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
inline Time from_unix_ms(std::int64_t ms) { return Time(std::chrono::milliseconds(ms)); }

}  // namespace cofferdam::identity

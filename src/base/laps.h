// How long each step of something took, for a debug record: "jail 12.3, monitor 30.1, …" in milliseconds.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

namespace cofferdam {

class Laps {
 public:
  // The time since the last lap, under `step`.
  void lap(std::string_view step) {
    const auto now = std::chrono::steady_clock::now();
    char ms[32];
    std::snprintf(ms, sizeof ms, " %.1f", std::chrono::duration<double, std::milli>(now - last_).count());
    last_ = now;
    if (!text_.empty()) text_ += ", ";
    text_.append(step).append(ms);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::string text_;
};

}  // namespace cofferdam

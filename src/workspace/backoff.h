// When something that ended is started again: no clock, no waiting.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace cofferdam::workspace {

struct Backoff {
  std::chrono::milliseconds first{1000};
  double factor = 2.0;
  std::chrono::milliseconds longest{60'000};
  std::chrono::milliseconds forgotten_after{10 * 60'000};  // a run of so long makes the next restart the first again
  std::uint32_t max_restarts = 0;                          // in a row; 0: no limit

  // How many restarts in a row there were, after a run that lasted `ran`.
  [[nodiscard]] std::uint32_t in_a_row(std::uint32_t restarts, std::chrono::milliseconds ran) const {
    return ran >= forgotten_after ? 0 : restarts;
  }
  // How long to wait before the next; nullopt when there were enough.
  [[nodiscard]] std::optional<std::chrono::milliseconds> delay(std::uint32_t restarts) const {
    if (max_restarts != 0 && restarts >= max_restarts) return std::nullopt;
    auto wait = static_cast<double>(first.count());
    const auto most = static_cast<double>(longest.count());
    for (std::uint32_t i = 0; i < restarts && wait < most; ++i) {
      if (factor <= 1.0) break;
      wait *= factor;
    }
    return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(wait, most)));
  }
};

}  // namespace cofferdam::workspace

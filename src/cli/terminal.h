// The terminal: whether there is one, its size, and raw mode that is always taken back.
#pragma once
#include <termios.h>

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace cofferdam::cli {

bool is_terminal(int fd);

struct WindowSize {
  std::uint16_t rows = 24, cols = 80;
  bool operator==(const WindowSize&) const = default;
};
// Of the first of stdin, stdout and stderr that is a terminal; nullopt when none is.
std::optional<WindowSize> window_size();

// Raw mode of the terminal `fd` until destruction; also taken back when a fatal signal ends the program, and around a
// stop from outside (SIGTSTP). At most one at a time.
class RawMode {
 public:
  static Result<RawMode> enter(int fd);
  RawMode(RawMode&& other) noexcept;
  RawMode& operator=(RawMode&&) = delete;
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode();

 private:
  explicit RawMode(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace cofferdam::cli

// Progress of something long, on stderr: a bar that is redrawn on a terminal, a line a stage elsewhere.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "cli/terminal.h"

namespace cofferdam::cli {

class Progress {
 public:
  enum class Style { bar, lines, silent };
  // A bar when stderr is a terminal.
  static Style style_for_stderr();

  explicit Progress(Style style) : style_(style) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { finish(); }

  // `fraction` from 0 to 1; below 0: not known. Texts are made printable.
  void update(std::string_view stage, std::string_view detail, double fraction);
  // Takes the bar off the screen.
  void finish();

 private:
  Style style_;
  bool drawn_ = false;
  std::string stage_, detail_;
  std::chrono::steady_clock::time_point last_{};
};

// One line of at most `columns` columns: "packages  [#####-----]  50%  detail". Without a known fraction, no bar.
std::string progress_line(std::string_view stage, std::string_view detail, double fraction, std::size_t columns);

}  // namespace cofferdam::cli

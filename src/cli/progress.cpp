#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/text.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {
namespace {

constexpr std::size_t kBarColumns = 24;
constexpr auto kRedrawEvery = std::chrono::milliseconds(80);
constexpr auto kLineEvery = std::chrono::seconds(5);

// Cut at a character, not inside one.
std::string cut_to(std::string text, std::size_t columns) {
  while (display_width(text) > columns) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
    text.resize(last);
  }
  return text;
}

void put(std::string_view text) { (void)write_all(STDERR_FILENO, text); }

}  // namespace

std::string progress_line(std::string_view stage, std::string_view detail, double fraction, std::size_t columns) {
  std::string line = printable(stage);
  if (fraction >= 0) {
    const double known = std::min(fraction, 1.0);
    const auto filled = static_cast<std::size_t>(known * kBarColumns);
    char percent[8];
    std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(known * 100));
    line = cat(line, "  [", std::string(filled, '#'), std::string(kBarColumns - filled, '-'), "] ", percent);
  }
  if (!detail.empty()) line = cat(line, "  ", printable(detail));
  return cut_to(std::move(line), columns);
}

Progress::Style Progress::style_for_stderr() { return is_terminal(STDERR_FILENO) ? Style::bar : Style::lines; }

void Progress::update(std::string_view stage, std::string_view detail, double fraction) {
  if (style_ == Style::silent) return;
  const auto now = std::chrono::steady_clock::now();
  const bool new_stage = stage != stage_;
  const auto pause =
      style_ == Style::bar ? kRedrawEvery : std::chrono::duration_cast<std::chrono::milliseconds>(kLineEvery);
  if (!new_stage && (now - last_ < pause || (style_ == Style::lines && detail == detail_))) return;
  stage_ = stage;
  detail_ = detail;
  last_ = now;
  if (style_ == Style::lines) {
    put(cat(progress_line(stage, detail, -1, 160), "\n"));
    return;
  }
  const std::size_t columns = window_size().value_or(WindowSize{}).cols;
  put(cat("\r\033[K", progress_line(stage, detail, fraction, columns - 1)));
  drawn_ = true;
}

void Progress::finish() {
  if (drawn_) put("\r\033[K");
  drawn_ = false;
}

}  // namespace cofferdam::cli

// One line of a workspace's log, and how output becomes lines.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace cofferdam::workspace {

// The log of a workspace: of its life, or the output of commands that were started with KeepOutput::yes.
enum class LogSource { boot, cmd };
struct LogLine {
  std::chrono::system_clock::time_point time;
  std::string message;  // one line; of a command the guest's bytes, perhaps no UTF-8
};

// Output in pieces to whole lines; a line of more than 16 KiB is cut into several.
class LineSplitter {
 public:
  template <class Line>
  void add(std::string_view bytes, const Line& line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const auto room = kMaxLine - partial_.size();
      const auto taken = std::min(end == std::string_view::npos ? bytes.size() : end, room);
      partial_.append(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      const bool ended = !bytes.empty() && bytes.front() == '\n';
      if (ended) bytes.remove_prefix(1);
      if (ended || partial_.size() == kMaxLine) line(std::exchange(partial_, {}));
    }
  }
  // The last line, when nothing ended it.
  template <class Line>
  void finish(const Line& line) {
    if (!partial_.empty()) line(std::exchange(partial_, {}));
  }

 private:
  static constexpr std::size_t kMaxLine = 16U << 10;
  std::string partial_;
};

}  // namespace cofferdam::workspace

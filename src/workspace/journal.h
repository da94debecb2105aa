// The log of one workspace: what happened to it, and the output of commands that asked for being kept. In memory, the
// last 256 KiB of each; for a workspace with a folder also in files there, at most 1 MiB each.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "loop/event.h"
#include "loop/feed.h"
#include "workspace/log_line.h"

namespace cofferdam::workspace {

using loop::Feed;
using loop::Feeds;

std::string format_line(const LogLine& line);  // "2026-01-31T23:59:59.123Z text", and a line end
std::vector<LogLine> parse_lines(std::string_view text);

// Log files in a workspace's folder, encrypted: each piece is sealed under `key` and bound to its source. Calls block.
std::string log_path(const std::string& folder, LogSource source);
// Keeps the file, and the one before it, at half a MiB each.
Status append_log(const std::string& folder, LogSource source, std::string_view text, const SecureBytes& key);
// The end of what the files hold, at most 256 KiB. What does not open under `key` is left out.
std::vector<LogLine> read_log(const std::string& folder, LogSource source, const SecureBytes& key);

class Journal {
 public:
  explicit Journal(const loop::asio::any_io_executor& executor) : executor_(executor), written(executor) {}

  void add(LogSource source, LogLine line);
  [[nodiscard]] std::vector<LogLine> tail(LogSource source, std::size_t lines) const;
  std::shared_ptr<Feed<LogLine>> follow(LogSource source) {
    auto feed = of(source).feeds.open(executor_);
    if (closed_) feed->close();
    return feed;
  }
  void clear();
  // Nothing is added from now on, and followers hear of the end.
  void close();
  [[nodiscard]] bool closed() const { return closed_; }

  // What no file has yet; it is then forgotten.
  std::string take_unwritten(LogSource source);
  // What is read back comes before what is new.
  void restore(LogSource source, std::vector<LogLine> lines);

 private:
  struct Part {
    std::deque<LogLine> lines;
    std::size_t bytes = 0;
    std::string unwritten;
    Feeds<LogLine> feeds;
  };
  Part& of(LogSource source) { return source == LogSource::boot ? boot_ : cmd_; }
  [[nodiscard]] const Part& of(LogSource source) const { return source == LogSource::boot ? boot_ : cmd_; }
  static void shorten(Part& part);

  loop::asio::any_io_executor executor_;
  Part boot_, cmd_;
  bool closed_ = false;

 public:
  bool writing = false;  // somebody writes the files
  loop::Event written;   // and has ended
};

}  // namespace cofferdam::workspace

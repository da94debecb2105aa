// Our stdin, stdout and stderr on the event loop. Descriptors are shared with other programs, so their mode is never
// changed: a terminal or pipe is opened anew for writing without blocking.
#pragma once
#include <boost/asio/posix/stream_descriptor.hpp>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "loop/task.h"

namespace cofferdam::cli {

using loop::Task;

class Input {
 public:
  // `fd` stays the caller's.
  Input(const loop::asio::any_io_executor& executor, int fd);
  // What is there, at most `max` bytes; empty at the end.
  Task<std::string> read(std::size_t max);

 private:
  loop::asio::posix::stream_descriptor stream_;
  bool always_ready_ = false;  // a regular file, or a device that cannot be waited for
};

class Output {
 public:
  // `fd` stays the caller's.
  Output(const loop::asio::any_io_executor& executor, int fd);
  // All of it. Unavailable: nobody reads any more. `bytes` must live until the task has ended.
  Task<void> write(std::string_view bytes);

 private:
  loop::asio::posix::stream_descriptor stream_;
  bool always_ready_ = false;
  std::size_t piece_;  // what one write may hold without blocking
};

}  // namespace cofferdam::cli

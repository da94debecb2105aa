// The signals a person or supervisor sends to this program, as values to wait for.
#pragma once
#include <boost/asio/signal_set.hpp>

#include "loop/task.h"

namespace cofferdam::cli {

using loop::Task;

// From construction on, SIGINT, SIGTERM, SIGHUP, SIGQUIT and SIGWINCH do not end the program, and none is lost.
class SignalWatch {
 public:
  explicit SignalWatch(const loop::asio::any_io_executor& executor);
  // The next one.
  Task<int> next();

 private:
  loop::asio::signal_set set_;
};

// While it lives, writing to a closed pipe is an error and not the end of the program.
class IgnoreBrokenPipe {
 public:
  IgnoreBrokenPipe();
  ~IgnoreBrokenPipe();
  IgnoreBrokenPipe(const IgnoreBrokenPipe&) = delete;
  IgnoreBrokenPipe& operator=(const IgnoreBrokenPipe&) = delete;
};

}  // namespace cofferdam::cli

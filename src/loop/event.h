// A wake-up for coroutines of one loop: wait() returns after the next notify(), or at once if one came since the last
// wait().
#pragma once
#include "loop/task.h"

namespace cofferdam::loop {

class Event {
 public:
  explicit Event(const asio::any_io_executor& executor) : timer_(executor, asio::steady_timer::time_point::max()) {}

  void notify() {
    set_ = true;
    timer_.cancel();
  }
  // Cancelled when the waiting task itself was cancelled.
  Task<void> wait();

 private:
  asio::steady_timer timer_;
  bool set_ = false;
};

}  // namespace cofferdam::loop

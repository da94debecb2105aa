// Owner of spawned tasks: nothing runs detached.
#pragma once
#include <boost/asio/cancellation_signal.hpp>
#include <list>
#include <string>

#include "loop/event.h"
#include "loop/task.h"

namespace cofferdam::loop {

// Single-threaded: used on its executor only. Must be joined before it is destroyed.
class TaskGroup {
 public:
  explicit TaskGroup(asio::any_io_executor executor);
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup();

  // Starts `task`; an error it ends with is logged under `name`. After cancel() nothing starts any more.
  void spawn(std::string name, Task<void> task);
  // Asks every running task to end.
  void cancel();
  // Waits until all have ended.
  Task<void> join();
  [[nodiscard]] std::size_t size() const { return running_.size(); }
  // cancel() was called: spawn() does nothing any more.
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }

 private:
  asio::any_io_executor executor_;
  std::list<asio::cancellation_signal> running_;
  Event idle_;
  bool closed_ = false;
};

}  // namespace cofferdam::loop

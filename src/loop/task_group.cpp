#include "loop/task_group.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <cstdlib>
#include <exception>

#include "base/log.h"

namespace cofferdam::loop {

TaskGroup::TaskGroup(asio::any_io_executor executor) : executor_(std::move(executor)), idle_(executor_) {}

TaskGroup::~TaskGroup() {
  // A task that still runs would use what this group's owner is about to free.
  if (!running_.empty()) {
    log_error("a task group was destroyed while tasks still run");
    std::abort();
  }
}

void TaskGroup::spawn(std::string name, Task<void> task) {
  if (closed_) return;
  running_.emplace_front();
  auto place = running_.begin();
  auto done = [this, place, name = std::move(name)](const std::exception_ptr& thrown, Status status) {
    if (thrown) {
      try {
        std::rethrow_exception(thrown);
      } catch (const boost::system::system_error& e) {
        // Asio ends a cancelled coroutine so at its next wait.
        if (e.code() != asio::error::operation_aborted) {
          log_error("task ended by an exception", {{"task", name}, {"what", e.what()}});
        }
      } catch (const std::exception& e) {
        log_error("task ended by an exception", {{"task", name}, {"what", e.what()}});
      } catch (...) {
        log_error("task ended by an exception", {{"task", name}});
      }
    } else if (!status && status.error().code != Code::Cancelled) {
      log_warn("task failed", {{"task", name}, {"error", status.error().message}});
    }
    running_.erase(place);
    idle_.notify();
  };
  asio::co_spawn(executor_, std::move(task), asio::bind_cancellation_slot(place->slot(), std::move(done)));
}

void TaskGroup::cancel() {
  closed_ = true;
  // A cancelled task may end at once and leave the list.
  for (auto it = running_.begin(); it != running_.end();) {
    auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

Task<void> TaskGroup::join() {
  while (!running_.empty()) CO_TRY(co_await idle_.wait());
  co_return Status{};
}

}  // namespace cofferdam::loop

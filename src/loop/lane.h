// Turns on the loop, in order of arrival: with width 1 a lane orders the operations on one workspace, with more it
// bounds how many of a kind run at once.
#pragma once
#include <cstddef>
#include <list>
#include <memory>
#include <string>

#include "loop/event.h"
#include "loop/task.h"

namespace cofferdam::loop {

class Lane {
  struct Waiter;
  struct State;
  class Ticket;

 public:
  // `what` names the lane in errors. More than `max_waiting` waiters are refused.
  Lane(const asio::any_io_executor& executor, std::string what, std::size_t width = 1, std::size_t max_waiting = 64);

  // A turn; it ends when this goes. May outlive the lane.
  class [[nodiscard]] Place {
   public:
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    friend class Lane;
    friend class Ticket;
    explicit Place(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  // Aborted when too many wait already, or the turn did not come within `limit`.
  Task<Place> enter(std::chrono::milliseconds limit);
  [[nodiscard]] std::size_t busy() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace cofferdam::loop

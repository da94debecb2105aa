#include "loop/lane.h"

#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::loop {

struct Lane::Waiter {
  explicit Waiter(const asio::any_io_executor& executor) : turn(executor) {}
  Event turn;
  bool admitted = false;
};

struct Lane::State {
  asio::any_io_executor executor;
  std::string what;
  std::size_t width = 1;
  std::size_t max_waiting = 0;
  std::size_t busy = 0;
  std::list<Waiter> waiting;

  // Gives a free place to whoever came first.
  void pass_on() {
    for (auto& waiter : waiting) {
      if (busy >= width) return;
      if (waiter.admitted) continue;
      waiter.admitted = true;
      ++busy;
      waiter.turn.notify();
    }
  }
};

// Somebody's place in the queue: given up on any way out of the wait.
class Lane::Ticket {
 public:
  explicit Ticket(std::shared_ptr<State> state)
      : state_(std::move(state)), waiter_(state_->waiting.emplace(state_->waiting.end(), state_->executor)) {}
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;
  ~Ticket() {
    const bool unused = waiter_->admitted && !taken_;
    state_->waiting.erase(waiter_);
    if (unused) Place given_back(state_);
  }
  Event& turn() { return waiter_->turn; }
  [[nodiscard]] bool admitted() const { return waiter_->admitted; }
  Place take() {
    taken_ = true;
    return Place(state_);
  }

 private:
  std::shared_ptr<State> state_;
  std::list<Waiter>::iterator waiter_;
  bool taken_ = false;
};

Lane::Place::~Place() {
  if (!state_) return;
  --state_->busy;
  state_->pass_on();
}

Lane::Lane(const asio::any_io_executor& executor, std::string what, std::size_t width, std::size_t max_waiting)
    : state_(std::make_shared<State>()) {
  state_->executor = executor;
  state_->what = std::move(what);
  state_->width = width;
  state_->max_waiting = max_waiting;
}

std::size_t Lane::busy() const { return state_->busy; }

Task<Lane::Place> Lane::enter(std::chrono::milliseconds limit) {
  const std::shared_ptr<State> state = state_;
  if (state->busy < state->width && state->waiting.empty()) {
    ++state->busy;
    co_return Place(state);
  }
  if (state->waiting.size() >= state->max_waiting) {
    co_return fail(Code::Aborted, cat(state->what, ": ", state->waiting.size(), " operations already wait their turn"),
                   "try again when those before have ended");
  }
  Ticket ticket(state);
  // Behind one that has its turn and has not begun yet there may be a place still.
  state->pass_on();
  (void)co_await with_deadline(ticket.turn().wait(), limit, state->what);
  if (ticket.admitted()) co_return ticket.take();
  co_return fail(Code::Aborted, cat(state->what, ": another operation is still running after ", limit.count(), " ms"),
                 "try again when it has ended");
}

}  // namespace cofferdam::loop

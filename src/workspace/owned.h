// An operation that runs to its end even when whoever asked for it goes away: half an operation must not be left.
#pragma once
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "loop/event.h"
#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::workspace {

namespace detail {

template <class T>
struct UnclaimedOf {
  using Type = std::function<void(T)>;
};
template <>
struct UnclaimedOf<void> {
  using Type = std::function<void()>;
};

}  // namespace detail

// Gets a value that nobody waits for any more.
template <class T>
using Unclaimed = typename detail::UnclaimedOf<T>::Type;

namespace detail {

template <class T>
struct Outcome {
  explicit Outcome(const loop::asio::any_io_executor& executor) : ready(executor) {}
  std::optional<Result<T>> answer;
  loop::Event ready;
  bool waited_for = true;
  Unclaimed<T> unclaimed;

  void settle(Result<T> result) {
    if (answer) return;
    answer = std::move(result);
    if (waited_for) {
      ready.notify();
    } else {
      give_up();
    }
  }
  void give_up() {
    waited_for = false;
    if constexpr (!std::is_void_v<T>) {
      if (answer && *answer && unclaimed) unclaimed(std::move(**answer));
    }
  }
};

// Settles the outcome also when the operation never started, or was ended by force.
template <class T>
struct Settler {
  explicit Settler(std::shared_ptr<Outcome<T>> target) : outcome(std::move(target)) {}
  Settler(Settler&&) noexcept = default;
  Settler& operator=(Settler&&) = delete;
  ~Settler() {
    if (outcome) outcome->settle(fail(Code::Unavailable, "the daemon is shutting down"));
  }
  std::shared_ptr<Outcome<T>> outcome;
};

template <class T>
loop::Task<void> run_and_settle(Settler<T> settler, loop::Task<T> operation) {
  auto result = co_await std::move(operation);
  settler.outcome->settle(std::move(result));
  co_return Status{};
}

template <class T>
struct Waiting {
  explicit Waiting(std::shared_ptr<Outcome<T>> source) : outcome(std::move(source)) {}
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  ~Waiting() {
    if (outcome) outcome->give_up();
  }
  std::shared_ptr<Outcome<T>> outcome;
};

}  // namespace detail

// Runs `operation` in `group` and answers what it answered. When the caller is cancelled meanwhile, the operation goes
// on, and a value it ends with goes to `unclaimed`.
template <class T>
loop::Task<T> run_owned(loop::TaskGroup& group, std::string name, loop::Task<T> operation,
                        Unclaimed<T> unclaimed = {}) {
  auto outcome = std::make_shared<detail::Outcome<T>>(group.executor());
  outcome->unclaimed = std::move(unclaimed);
  detail::Waiting<T> waiting(outcome);
  group.spawn(std::move(name), detail::run_and_settle(detail::Settler<T>(outcome), std::move(operation)));
  CO_TRY(co_await outcome->ready.wait());
  waiting.outcome.reset();
  co_return std::move(*outcome->answer);
}

}  // namespace cofferdam::workspace

// Tasks run from outside of any loop: by tests, and by programs that have one thing to do.
#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "loop/deadline.h"

namespace cofferdam::loop {

// What a begun task has answered, once it has.
template <class T>
using Answer = std::shared_ptr<std::optional<Result<T>>>;

namespace detail {

template <class T>
asio::awaitable<void> answer_into(Task<T> task, Answer<T> answer) {
  answer->emplace(co_await std::move(task));
}
// What `work` throws comes out of the loop's run.
void launch(asio::io_context& io, asio::awaitable<void> work);

}  // namespace detail

// Starts the task; it goes on while somebody runs the loop.
template <class T>
Answer<T> begin(asio::io_context& io, Task<T> task) {
  auto answer = std::make_shared<std::optional<Result<T>>>();
  detail::launch(io, detail::answer_into(std::move(task), answer));
  return answer;
}

// Runs the loop until `done`, even while it has nothing to do: a thread may be about to give it something.
void run_until(asio::io_context& io, const std::function<bool()>& done);

// The task's answer, or DeadlineExceeded after `limit`. On the calling thread, with all else that the loop has to do.
template <class T>
Result<T> run_on(asio::io_context& io, Task<T> task, std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  const auto answer = begin(io, with_deadline(std::move(task), limit, "the task"));
  run_until(io, [&] { return answer->has_value(); });
  return std::move(**answer);
}

}  // namespace cofferdam::loop

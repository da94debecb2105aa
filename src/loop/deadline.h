// A bound on any wait.
#pragma once
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "loop/task.h"

namespace cofferdam::loop {

namespace detail {

// A task that throws, as a value: a group of awaitables would hide the exception until its other side has ended too.
template <class T>
struct Settled {
  std::optional<Result<T>> answer;
  std::exception_ptr thrown;
};
template <class T>
asio::awaitable<Settled<T>> settle(Task<T> task) {
  Settled<T> settled;
  try {
    settled.answer = co_await std::move(task);
  } catch (...) {
    settled.thrown = std::current_exception();
  }
  co_return settled;
}

}  // namespace detail

// The task's answer, or DeadlineExceeded ("what: took longer than N ms") after `limit`; the task is then cancelled
// and has ended before this returns. What it throws is thrown at once.
template <class T>
Task<T> with_deadline(Task<T> task, std::chrono::milliseconds limit, std::string what) {
  using asio::experimental::awaitable_operators::operator||;
  asio::steady_timer timer(co_await asio::this_coro::executor, limit);
  auto first = co_await (detail::settle(std::move(task)) || timer.async_wait(as_result));
  if (first.index() == 0) {
    auto& settled = std::get<0>(first);
    if (settled.thrown) std::rethrow_exception(settled.thrown);
    co_return std::move(*settled.answer);
  }
  co_return fail(Code::DeadlineExceeded, cat(what, ": took longer than ", limit.count(), " ms"));
}

}  // namespace cofferdam::loop

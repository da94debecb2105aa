// A bound on any wait.
#pragma once
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <string>
#include <utility>

#include "base/text.h"
#include "loop/task.h"

namespace cofferdam::loop {

// The task's answer, or DeadlineExceeded ("what: took longer than N ms") after `limit`; the task is then cancelled
// and has ended before this returns.
template <class T>
Task<T> with_deadline(Task<T> task, std::chrono::milliseconds limit, std::string what) {
  using asio::experimental::awaitable_operators::operator||;
  asio::steady_timer timer(co_await asio::this_coro::executor, limit);
  auto first = co_await (std::move(task) || timer.async_wait(as_result));
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return fail(Code::DeadlineExceeded, cat(what, ": took longer than ", limit.count(), " ms"));
}

}  // namespace cofferdam::loop

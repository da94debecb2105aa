// A bound on any wait.
//
// Templates here and in worker_pool.h are thin on purpose: what awaits two things or changes threads is in the sources,
// once, or every file with a deadline would compile Asio's groups anew.
#pragma once
#include <chrono>
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
// `into` outlives the awaitable.
template <class T>
asio::awaitable<void> settle_into(Task<T> task, Settled<T>& into) {
  try {
    into.answer = co_await std::move(task);
  } catch (...) {
    into.thrown = std::current_exception();
  }
}
template <class T>
asio::awaitable<Settled<T>> settle(Task<T> task) {
  Settled<T> settled;
  co_await settle_into(std::move(task), settled);
  co_return settled;
}

// False when `limit` passed first; the work is then cancelled, and has ended before this returns.
asio::awaitable<bool> ends_within(asio::awaitable<void> work, std::chrono::milliseconds limit);

}  // namespace detail

// The task's answer, or DeadlineExceeded ("what: took longer than N ms") after `limit`; the task is then cancelled
// and has ended before this returns. What it throws is thrown at once.
template <class T>
Task<T> with_deadline(Task<T> task, std::chrono::milliseconds limit, std::string what) {
  detail::Settled<T> settled;
  if (co_await detail::ends_within(detail::settle_into(std::move(task), settled), limit)) {
    if (settled.thrown) std::rethrow_exception(settled.thrown);
    co_return std::move(*settled.answer);
  }
  co_return fail(Code::DeadlineExceeded, cat(what, ": took longer than ", limit.count(), " ms"));
}

}  // namespace cofferdam::loop

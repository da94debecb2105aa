// Task<T>: a coroutine on the event loop that answers a Result<T>.
//
// Rules (the compiler is clang-19; g++ 12 miscompiles several coroutine shapes):
//   - parameters by value, or a reference to an owner that outlives the task and says so;
//   - no lock, no string_view into a temporary and no iterator across a co_await;
//   - every wait has a deadline (deadline.h), every spawned task an owner (task_group.h).
#pragma once
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <string_view>

#include "base/result.h"

namespace cofferdam::loop {

namespace asio = boost::asio;

template <class T = void>
using Task = asio::awaitable<Result<T>>;

// Completes with a tuple that starts with the error code instead of throwing.
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

// "what: reason" with the code that fits: a closed peer is Unavailable, a cancelled wait is Cancelled.
Error asio_error(std::string_view what, const boost::system::error_code& ec);

// Waits; Cancelled when the caller was cancelled.
Task<void> sleep_for(std::chrono::steady_clock::duration duration);

}  // namespace cofferdam::loop

#include "loop/deadline.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

namespace cofferdam::loop::detail {

asio::awaitable<bool> ends_within(asio::awaitable<void> work, std::chrono::milliseconds limit) {
  using asio::experimental::awaitable_operators::operator||;
  asio::steady_timer timer(co_await asio::this_coro::executor, limit);
  const auto first = co_await (std::move(work) || timer.async_wait(as_result));
  co_return first.index() == 0;
}

}  // namespace cofferdam::loop::detail

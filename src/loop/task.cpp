#include "loop/task.h"

#include <boost/asio/error.hpp>

namespace cofferdam::loop {

Error asio_error(std::string_view what, const boost::system::error_code& ec) {
  Error error = errno_error(what, ec.value());
  error.message = std::string(what) + ": " + ec.message();
  if (ec == asio::error::operation_aborted) error.code = Code::Cancelled;
  if (ec == asio::error::eof) error.code = Code::Unavailable;
  return error;
}

Task<void> sleep_for(std::chrono::steady_clock::duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  auto [ec] = co_await timer.async_wait(as_result);
  if (ec) co_return fail(asio_error("wait", ec));
  co_return Status{};
}

}  // namespace cofferdam::loop

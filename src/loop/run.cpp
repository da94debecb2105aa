#include "loop/run.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <exception>

namespace cofferdam::loop {

namespace detail {

void launch(asio::io_context& io, asio::awaitable<void> work) {
  asio::co_spawn(io, std::move(work), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
}

}  // namespace detail

void run_until(asio::io_context& io, const std::function<bool()>& done) {
  io.restart();
  const auto work = asio::make_work_guard(io);
  while (!done()) io.run_one();
}

}  // namespace cofferdam::loop

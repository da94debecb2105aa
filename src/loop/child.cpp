#include "loop/child.h"

#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace cofferdam::loop {

Task<int> wait_for_exit(Process& process) {
  asio::posix::stream_descriptor ended(co_await asio::this_coro::executor, ::dup(process.pidfd()));
  auto [ec] = co_await ended.async_wait(asio::posix::stream_descriptor::wait_read, as_result);
  if (ec) co_return fail(asio_error("wait for a child", ec));
  co_return process.wait();
}

}  // namespace cofferdam::loop

#include "loop/child.h"

#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace cofferdam::loop {

Task<void> wait_for_end(int pidfd) {
  asio::posix::stream_descriptor ended(co_await asio::this_coro::executor, ::dup(pidfd));
  auto [ec] = co_await ended.async_wait(asio::posix::stream_descriptor::wait_read, as_result);
  if (ec) co_return fail(asio_error("wait for a process", ec));
  co_return Status{};
}

Task<int> wait_for_exit(Process& process) {
  CO_TRY(co_await wait_for_end(process.pidfd()));
  co_return process.wait();
}

}  // namespace cofferdam::loop

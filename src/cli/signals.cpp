#include "cli/signals.h"

#include <csignal>

namespace cofferdam::cli {

SignalWatch::SignalWatch(const loop::asio::any_io_executor& executor) : set_(executor, SIGINT, SIGTERM, SIGHUP) {
  boost::system::error_code ec;
  set_.add(SIGQUIT, ec);
  set_.add(SIGWINCH, ec);
}

Task<int> SignalWatch::next() {
  const auto [ec, number] = co_await set_.async_wait(loop::as_result);
  if (ec) co_return fail(loop::asio_error("wait for a signal", ec));
  co_return number;
}

IgnoreBrokenPipe::IgnoreBrokenPipe() { std::signal(SIGPIPE, SIG_IGN); }
IgnoreBrokenPipe::~IgnoreBrokenPipe() { std::signal(SIGPIPE, SIG_DFL); }

}  // namespace cofferdam::cli

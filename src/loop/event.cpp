#include "loop/event.h"

namespace cofferdam::loop {

Task<void> Event::wait() {
  while (!set_) {
    (void)co_await timer_.async_wait(as_result);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
  }
  set_ = false;
  co_return Status{};
}

}  // namespace cofferdam::loop

#include "loop/worker_pool.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>

namespace cofferdam::loop {

asio::awaitable<void> WorkerPool::run_job(std::function<void()> job) {
  auto body = [](std::function<void()> work) -> asio::awaitable<void> {
    work();
    co_return;
  };
  // Without a slot of its own, a cancelled caller's signal would be emitted across threads into the job's frame.
  co_await asio::co_spawn(pool_, body(std::move(job)),
                          asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
}

}  // namespace cofferdam::loop

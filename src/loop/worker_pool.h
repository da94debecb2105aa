// Blocking work off the loop: the answer comes back on the caller's executor.
#pragma once
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <type_traits>
#include <utility>

#include "loop/task.h"

namespace cofferdam::loop {

class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads) : pool_(threads) {}
  ~WorkerPool() { pool_.join(); }
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Runs `work` (no arguments, answers a Result<T>) on a thread of the pool. A started `work` always runs to its end,
  // even when the caller is cancelled: it must have deadlines of its own.
  template <class Work>
  asio::awaitable<std::invoke_result_t<Work>> run(Work work) {
    auto body = [](Work job) -> asio::awaitable<std::invoke_result_t<Work>> { co_return job(); };
    // Without a slot of its own, a cancelled caller's signal would be emitted across threads into the job's frame.
    co_return co_await asio::co_spawn(pool_, body(std::move(work)),
                                      asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
  }

  // The same for a caller without a loop: blocks until `work` has ended. Never on a thread of the pool itself.
  template <class Work>
  std::invoke_result_t<Work> run_and_wait(Work work) {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto answer = task.get_future();
    asio::post(pool_, std::move(task));
    return answer.get();
  }

 private:
  asio::thread_pool pool_;
};

}  // namespace cofferdam::loop

// Blocking work off the loop: the answer comes back on the caller's executor.
#pragma once
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
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
    struct Job {
      Work work;
      std::optional<std::invoke_result_t<Work>> answer;
      std::exception_ptr thrown;
    };
    // Shared: a caller whose loop goes away is not waited for, and the job is still at work.
    auto job = std::make_shared<Job>(Job{std::move(work), std::nullopt, nullptr});
    co_await run_job([job] {
      try {
        job->answer.emplace(job->work());
      } catch (...) {
        job->thrown = std::current_exception();
      }
    });
    if (job->thrown) std::rethrow_exception(job->thrown);
    co_return std::move(*job->answer);
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
  // `job` throws nothing, and has ended when this returns, even to a cancelled caller.
  asio::awaitable<void> run_job(std::function<void()> job);

  asio::thread_pool pool_;
};

}  // namespace cofferdam::loop

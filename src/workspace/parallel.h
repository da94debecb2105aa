// The same work for many items, a few at a time.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::workspace {

namespace detail {

// All of a group, whoever is cancelled meanwhile: what runs in it cannot be left behind.
inline loop::Task<void> wait_for_all(loop::TaskGroup& group) {
  co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
  auto joined = co_await group.join();
  co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::enable_terminal_cancellation());
  co_return joined;
}

}  // namespace detail

// Calls `work` for every item, at most `width` at once, and returns when all have ended, also when it is cancelled.
// `work` says for itself what failed.
template <class Item>
loop::Task<void> for_each_at_once(std::vector<Item> items, std::size_t width,
                                  std::function<loop::Task<void>(Item)> work) {
  struct Shared {
    std::vector<Item> items;
    std::size_t next = 0;
    std::function<loop::Task<void>(Item)> work;
  };
  auto shared = std::make_shared<Shared>();
  shared->items = std::move(items);
  shared->work = std::move(work);
  auto worker = [](std::shared_ptr<Shared> jobs) -> loop::Task<void> {
    while (jobs->next < jobs->items.size()) {
      Item item = jobs->items[jobs->next++];
      (void)co_await jobs->work(std::move(item));
    }
    co_return Status{};
  };
  loop::TaskGroup group(co_await loop::asio::this_coro::executor);
  for (std::size_t i = 0; i < std::min(width, shared->items.size()); ++i) group.spawn("parallel", worker(shared));
  co_return co_await detail::wait_for_all(group);
}

namespace detail {

inline loop::Task<void> keep_first_error(loop::Task<void> task, std::shared_ptr<Status> outcome) {
  auto done = co_await std::move(task);
  if (!done && *outcome) *outcome = std::move(done);
  co_return Status{};
}

}  // namespace detail

// Begins `one` and then `other`, and returns when both have ended, with the first error; also when it is cancelled.
inline loop::Task<void> both_at_once(loop::Task<void> one, loop::Task<void> other) {
  auto outcome = std::make_shared<Status>();
  loop::TaskGroup group(co_await loop::asio::this_coro::executor);
  group.spawn("parallel", detail::keep_first_error(std::move(one), outcome));
  group.spawn("parallel", detail::keep_first_error(std::move(other), outcome));
  CO_TRY(co_await detail::wait_for_all(group));
  co_return std::move(*outcome);
}

}  // namespace cofferdam::workspace

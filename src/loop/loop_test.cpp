#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <stdexcept>
#include <thread>

#include "loop/child.h"
#include "loop/deadline.h"
#include "loop/event.h"
#include "loop/lane.h"
#include "loop/run.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"

namespace cofferdam::loop {
namespace {

using namespace std::chrono_literals;

template <class T>
Result<T> run_to_end(asio::io_context& io, Task<T> task) {
  std::optional<Result<T>> answer;
  asio::co_spawn(io, std::move(task), [&](const std::exception_ptr& thrown, Result<T> result) {
    if (thrown) std::rethrow_exception(thrown);
    answer = std::move(result);
  });
  io.restart();
  io.run();
  return std::move(answer).value();
}

TEST(Deadline, a_quick_task_answers) {
  asio::io_context io;
  auto quick = []() -> Task<int> { co_return 7; };
  EXPECT_EQ(run_to_end(io, with_deadline(quick(), 1s, "quick")).value(), 7);
}

TEST(Deadline, a_slow_task_is_cancelled_and_named) {
  asio::io_context io;
  auto result = run_to_end(io, with_deadline(sleep_for(1h), 10ms, "nap"));
  EXPECT_EQ(result.error().code, Code::DeadlineExceeded);
  EXPECT_NE(result.error().message.find("nap"), std::string::npos);
}

// With an hour to go, a lost exception would show as a test that hangs.
TEST(Deadline, what_the_task_throws_is_thrown_at_once) {
  asio::io_context io;
  auto bug = []() -> Task<int> {
    throw std::logic_error("a bug");
    co_return 7;
  };
  EXPECT_THROW((void)run_to_end(io, with_deadline(bug(), 1h, "bug")), std::logic_error);
}

TEST(Event, wakes_a_waiter_and_remembers_one_notify) {
  asio::io_context io;
  Event event(io.get_executor());
  event.notify();
  EXPECT_TRUE(run_to_end(io, event.wait()));
  EXPECT_EQ(run_to_end(io, with_deadline(event.wait(), 10ms, "event")).error().code, Code::DeadlineExceeded);
}

TEST(TaskGroup, cancel_ends_all_and_join_waits) {
  asio::io_context io;
  TaskGroup group(io.get_executor());
  for (int i = 0; i < 3; ++i) group.spawn("sleeper", sleep_for(1h));
  auto stop = [&]() -> Task<void> {
    CO_TRY(co_await sleep_for(1ms));
    group.cancel();
    co_return co_await group.join();
  };
  EXPECT_TRUE(run_to_end(io, stop()));
  EXPECT_EQ(group.size(), 0U);
}

TEST(Lane, whoever_comes_takes_a_free_place_behind_one_whose_turn_has_come) {
  asio::io_context io;
  Lane lane(io.get_executor(), "a lane of two", 2);
  auto first = begin(io, lane.enter(1s));
  auto second = begin(io, lane.enter(1s));
  const auto third = begin(io, lane.enter(10s));
  io.restart();
  io.poll();
  ASSERT_TRUE(first->has_value() && second->has_value() && !third->has_value());
  first->reset();
  second->reset();  // both places: the third has its turn, and has not begun
  const auto fourth = begin(io, lane.enter(10s));
  io.restart();
  io.run_for(100ms);
  EXPECT_TRUE(third->has_value());
  EXPECT_TRUE(fourth->has_value());
}

TEST(WorkerPool, runs_elsewhere_and_returns_here) {
  asio::io_context io;
  WorkerPool pool(2);
  auto check = [&]() -> Task<bool> {
    const auto here = std::this_thread::get_id();
    auto work = []() -> Result<std::thread::id> { return std::this_thread::get_id(); };
    auto there = co_await pool.run(work);
    co_return there.value() != here&& std::this_thread::get_id() == here;
  };
  EXPECT_TRUE(run_to_end(io, check()).value());
}

TEST(WorkerPool, a_caller_without_a_loop_waits_for_the_answer) {
  WorkerPool pool(1);
  const auto there = pool.run_and_wait([]() -> Result<std::thread::id> { return std::this_thread::get_id(); });
  EXPECT_NE(there.value(), std::this_thread::get_id());
}

TEST(Child, its_status_arrives) {
  asio::io_context io;
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", "exit 3"};
  auto process = Process::spawn(options).value();
  EXPECT_EQ(run_to_end(io, wait_for_exit(process)).value(), 3);
}

}  // namespace
}  // namespace cofferdam::loop

// The small parts: lane, memory budget, records, environment, limits of one command.
#include <algorithm>

#include "loop/lane.h"
#include "workspace/environment.h"
#include "workspace/limited_process.h"
#include "workspace/parallel.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

class PartsTest : public WorkspaceTest {};

TEST_F(PartsTest, a_lane_gives_turns_in_order_of_arrival) {
  loop::Lane lane(io_.get_executor(), "lane");
  std::string order;
  auto visit = [&](char name) -> loop::Task<void> {
    CO_TRY_ASSIGN(const auto place, co_await lane.enter(1s));
    order.push_back(name);
    CO_TRY(co_await loop::sleep_for(1ms));
    order.push_back(name);
    co_return Status{};
  };
  auto a = begin(visit('a'));
  auto b = begin(visit('b'));
  auto c = begin(visit('c'));
  EXPECT_TRUE(finish(a));
  EXPECT_TRUE(finish(b));
  EXPECT_TRUE(finish(c));
  EXPECT_EQ(order, "aabbcc");
  EXPECT_EQ(lane.busy(), 0U);
}

TEST_F(PartsTest, who_waits_too_long_or_comes_too_late_is_sent_away) {
  loop::Lane lane(io_.get_executor(), "lane", 1, 1);
  using Held = std::unique_ptr<loop::Lane::Place>;
  auto enter = [&](std::chrono::milliseconds limit) -> loop::Task<Held> {
    CO_TRY_ASSIGN(auto place, co_await lane.enter(limit));
    co_return std::make_unique<loop::Lane::Place>(std::move(place));
  };
  auto held = run(enter(1s)).value();
  auto waiting = begin(enter(20ms));
  auto too_many = run(enter(1s));
  EXPECT_EQ(too_many.error().code, Code::Aborted);
  EXPECT_EQ(finish(waiting).error().code, Code::Aborted);
  held.reset();
  EXPECT_TRUE(run(enter(1s)));
}

TEST_F(PartsTest, what_runs_for_many_is_waited_for_also_by_a_caller_that_is_cancelled) {
  int ended = 0;
  const auto work = [&ended](int /*item*/) -> loop::Task<void> {
    auto slept = co_await loop::sleep_for(30ms);
    ++ended;
    co_return slept;
  };
  loop::TaskGroup callers(io_.get_executor());
  callers.spawn("many", for_each_at_once<int>({1, 2, 3}, 2, work));
  callers.spawn("two", both_at_once(work(4), work(5)));
  io_.restart();
  io_.poll();
  callers.cancel();
  EXPECT_TRUE(run(callers.join()));
  EXPECT_EQ(ended, 5);
}

TEST_F(PartsTest, a_record_comes_back_as_it_was) {
  Record record;
  record.id = "ws_1";
  record.spec = spec("a \"name\"", model::Mode::permanent);
  record.spec.ttl = 90s;
  record.spec.env = {"A=1"};
  record.spec.io = {5, 6};
  record.state = model::State::stopped;
  record.detail = "why";
  record.created_at = record.updated_at = std::chrono::system_clock::time_point(1'700'000'000'123ms);
  record.started_at = record.created_at;
  record.hostname = "h";
  record.vm_id = "vm_1";
  record.from_pool = true;
  record.after_exec = AfterExec::remove;
  record.image_digest = "d";
  record.image_config.env = {"PATH=/bin"};
  record.image_config.workdir = "/w";
  record.image_config.user = "u";
  const auto back = record_from_text(record_to_text(record)).value();
  EXPECT_EQ(record_to_text(back), record_to_text(record));
  EXPECT_EQ(back.created_at, record.created_at);
  EXPECT_EQ(back.spec.ttl, record.spec.ttl);
  EXPECT_FALSE(back.expires_at.has_value());
}

TEST_F(PartsTest, a_record_of_another_version_is_not_guessed_at) {
  EXPECT_EQ(record_from_text(R"({"format":2})").error().code, Code::FailedPrecondition);
  EXPECT_FALSE(record_from_text("[]"));
  EXPECT_FALSE(record_from_text(R"({"format":1,"id":"x"})"));
}

TEST_F(PartsTest, host_names_are_made_of_what_a_name_has) {
  EXPECT_EQ(hostname_for("Web Server #1", "ws_1"), "web-server-1");
  EXPECT_EQ(hostname_for("", "ws_01h"), "ws-01h");
  EXPECT_EQ(hostname_for("\xc3\xa9\xc3\xa9", "ws_01h"), "ws-01h");
  EXPECT_EQ(hostname_for(std::string(200, 'a'), "ws_1").size(), 63U);
}

TEST_F(PartsTest, the_hosts_memory_is_read) {
  const auto host = read_host_memory().value();
  EXPECT_GT(host.total_mib, 100U);
  EXPECT_LE(host.available_mib, host.total_mib);
}

TEST_F(PartsTest, a_reservation_ends_with_its_owner) {
  MemoryBudget budget(options_.memory);
  {
    auto one = budget.reserve(256).value();
    auto moved = std::move(one);
    EXPECT_EQ(budget.promised_mib(), 256 + kMachineOverheadMib);
    moved = budget.reserve(128).value();
    EXPECT_EQ(budget.promised_mib(), 128 + kMachineOverheadMib);
  }
  EXPECT_EQ(budget.promised_mib(), 0U);
}

class CommandTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    machine_ = run(driver_.create(vm::MachineSpec{})).value();
  }
  void TearDown() override {
    // On the loop: Asio lets a cancellation from outside arrive late, when its target may have gone.
    auto end = [this]() -> loop::Task<void> {
      watchers_.cancel();
      co_return co_await watchers_.join();
    };
    ASSERT_TRUE(run(end()));
    WorkspaceTest::TearDown();
  }
  std::unique_ptr<vm::GuestProcess> start(const std::string& program, ProcessLimits limits) {
    model::ExecSpec spec;
    spec.argv = {program};
    limits.grace = 20ms;
    return limit_process(run(machine_->start(spec)).value(), machine_, limits, watchers_,
                         [](std::shared_ptr<vm::Machine> machine) { return machine->destroy(); });
  }
  std::shared_ptr<vm::Machine> machine_;
  loop::TaskGroup watchers_{io_.get_executor()};
};

TEST_F(CommandTest, the_deadline_holds_when_the_guest_does_not_keep_it) {
  ProcessLimits limits;
  limits.timeout = 20ms;
  auto process = start("sleep", limits);
  EXPECT_EQ(run(process->read()).value(), std::nullopt);
  EXPECT_TRUE(process->exit_status().timed_out);
  EXPECT_EQ(process->exit_status().code, 124);
  EXPECT_TRUE(machine_->alive());
}

TEST_F(CommandTest, a_guest_that_does_not_end_a_killed_process_loses_its_machine) {
  ProcessLimits limits;
  limits.timeout = 20ms;
  auto process = start("deaf", limits);
  const auto answer = run(process->read());
  EXPECT_EQ(answer.error().code, Code::DeadlineExceeded);
  EXPECT_FALSE(machine_->alive());
}

TEST_F(CommandTest, a_reader_that_is_slow_is_not_the_guests_fault) {
  ProcessLimits limits;
  limits.timeout = 5ms;
  auto process = start("sleep", limits);
  EXPECT_FALSE(until([] { return false; }, 150ms));
  EXPECT_TRUE(machine_->alive());
  EXPECT_EQ(run(process->read()).value(), std::nullopt);
  EXPECT_TRUE(process->exit_status().timed_out);
}

TEST_F(CommandTest, the_deadline_holds_for_a_reader_that_was_called_away_and_comes_back) {
  ProcessLimits limits;
  limits.timeout = 100ms;
  auto process = start("sleep", limits);
  EXPECT_FALSE(run(loop::with_deadline(process->read(), 10ms, "a look")));
  EXPECT_EQ(watchers_.size(), 1U);
  EXPECT_EQ(run(process->read()).value(), std::nullopt);
  EXPECT_TRUE(process->exit_status().timed_out);
}

TEST_F(CommandTest, a_watchdog_ends_with_its_process) {
  ProcessLimits limits;
  limits.timeout = 1h;
  auto process = start("sleep", limits);
  EXPECT_EQ(watchers_.size(), 1U);
  process.reset();
  EXPECT_TRUE(until([&] { return watchers_.size() == 0; }));
}

}  // namespace
}  // namespace cofferdam::workspace

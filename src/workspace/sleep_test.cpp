// Suspended: on disk, and back.
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;

class SleepTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    open();
    listen();
  }
  void listen() {
    manager_->on_event([this](const Event& event) { events_.emplace_back(event_name(event.kind)); });
  }
  void reopen() {
    close(Manager::Permanent::keep_running);
    open();
    listen();
    ASSERT_TRUE(run(manager_->reconcile()));
  }
  Info make(Mode mode = Mode::permanent) { return run(manager_->create(spec("box", mode))).value(); }
  Info suspend() {
    auto asleep = run(manager_->suspend("box"));
    EXPECT_TRUE(asleep) << asleep.error().message;
    return asleep.value();
  }
  std::vector<std::string> sleeps(const Info& info) {
    std::vector<std::string> found;
    const auto names = list_directory(state_ + "/workspaces/" + info.id).value();
    for (const auto& name : names) {
      if (name.starts_with("asleep-")) found.push_back(state_ + "/workspaces/" + info.id + "/" + name);
    }
    return found;
  }
  bool is(State state) {
    const auto info = manager_->get("box");
    return info && info->state == state;
  }
  void flip(const std::string& path) {
    const UniqueFd file = open_file(path, O_RDWR).value();
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, 30), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, 30), 1);
  }
  std::vector<std::string> events_;
};

TEST_F(SleepTest, no_machine_is_left_of_it_and_its_memory_lies_sealed_beside_its_disk) {
  const auto made = make();
  ASSERT_EQ(::pwrite(fake(made.vm_id)->spec().disk.get(), "kept", 4, 32 << 20), 4);
  const auto asleep = suspend();
  EXPECT_EQ(asleep.state, State::suspended);
  EXPECT_TRUE(asleep.asleep);
  EXPECT_TRUE(asleep.vm_id.empty());
  EXPECT_TRUE(driver_.alive.empty());
  ASSERT_EQ(sleeps(made).size(), 1U);
  const auto memory = read_file(sleeps(made)[0] + "/memory", 1U << 20).value();
  EXPECT_EQ(memory.find("mmmmmmmm"), std::string::npos);
  EXPECT_EQ(keys_->list(made.id).value().size(), 2U);  // of the disk and of the memory
  EXPECT_EQ(run(manager_->suspend("box")).value().state, State::suspended);

  const auto machine = run(manager_->wake_machine("box")).value();
  EXPECT_TRUE(fake(machine->id())->spec().saved);
  char seen[4];
  ASSERT_EQ(::pread(fake(machine->id())->spec().disk.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
  EXPECT_FALSE(manager_->get("box").value().asleep);
  EXPECT_TRUE(sleeps(made).empty());
  EXPECT_EQ(keys_->list(made.id).value().size(), 1U);
  EXPECT_EQ(events_, (std::vector<std::string>{"created", "suspended", "woken"}));
}

TEST_F(SleepTest, it_sleeps_on_over_a_restart_of_the_daemon) {
  const auto made = make();
  suspend();
  reopen();
  EXPECT_TRUE(is(State::suspended));
  EXPECT_EQ(sleeps(made).size(), 1U);
  EXPECT_TRUE(driver_.alive.empty());
  const auto going = run(manager_->start("box")).value();
  EXPECT_EQ(going.state, State::running);
  EXPECT_TRUE(fake(going.vm_id)->spec().saved);
}

TEST_F(SleepTest, its_time_runs_on_and_ends_it) {
  auto wanted = spec("box");
  wanted.ttl = 1s;
  const auto made = run(manager_->create(wanted)).value();
  const auto asleep = suspend();
  EXPECT_EQ(asleep.expires_at, made.expires_at);
  EXPECT_TRUE(until([&] { return folders().empty(); }));
  EXPECT_TRUE(until([&] { return events_.size() >= 4; }));
  EXPECT_EQ(events_, (std::vector<std::string>{"created", "suspended", "ttl_expired", "removed"}));
}

TEST_F(SleepTest, its_time_is_over_also_when_no_daemon_looked_on) {
  auto wanted = spec("box", Mode::permanent);
  wanted.ttl = 1s;
  wanted.ttl_action = model::TtlAction::remove;
  ASSERT_TRUE(run(manager_->create(wanted)));
  suspend();
  close(Manager::Permanent::keep_running);
  std::this_thread::sleep_for(1100ms);
  open();
  ASSERT_TRUE(run(manager_->reconcile()));
  EXPECT_TRUE(folders().empty());
}

TEST_F(SleepTest, the_machine_it_wakes_in_has_the_time_that_is_left) {
  const auto made = make(Mode::temporary);
  suspend();
  const auto going = run(manager_->resume("box")).value();
  EXPECT_EQ(going.expires_at, made.expires_at);
  EXPECT_LE(*fake(going.vm_id)->claimed()->ttl, 1h);
  EXPECT_GT(*fake(going.vm_id)->claimed()->ttl, 59min);
}

TEST_F(SleepTest, one_that_cannot_be_written_runs_on) {
  const auto made = make();
  driver_.saves_that_fail = 1;
  EXPECT_FALSE(run(manager_->suspend("box")));
  EXPECT_TRUE(is(State::running));
  EXPECT_FALSE(fake(made.vm_id)->paused());
  EXPECT_TRUE(sleeps(made).empty());
  EXPECT_EQ(keys_->list(made.id).value().size(), 1U);
}

TEST_F(SleepTest, one_that_cannot_be_written_when_its_time_has_come_stands_still) {
  auto wanted = spec("box", Mode::permanent);
  wanted.idle = model::IdlePolicy{1000ms, {}};
  driver_.saves_that_fail = 1;
  const auto made = run(manager_->create(wanted)).value();
  ASSERT_TRUE(until([&] { return is(State::suspended) && fake(made.vm_id)->paused(); }));
  EXPECT_FALSE(manager_->get("box").value().asleep);
  EXPECT_TRUE(fake(made.vm_id)->paused());
  EXPECT_EQ(run(manager_->wake_machine("box")).value()->id(), made.vm_id);
}

TEST_F(SleepTest, what_it_was_saved_with_must_be_there_and_a_stop_gives_its_memory_up) {
  const auto made = make();
  suspend();
  driver_.vmm_version = "fake 2";
  const auto refused = run(manager_->wake_machine("box"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("vmm"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().hint.find("coffer stop"), std::string::npos);
  EXPECT_TRUE(is(State::suspended));
  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  EXPECT_TRUE(sleeps(made).empty());
  const auto again = run(manager_->start("box")).value();
  EXPECT_FALSE(fake(again.vm_id)->spec().saved);
}

// What it could never go on with it is not put to sleep with.
TEST_F(SleepTest, one_whose_image_was_built_again_keeps_its_memory_in_the_hosts) {
  const auto made = make();
  add_image("small", "d2");
  EXPECT_EQ(suspend().state, State::suspended);
  EXPECT_TRUE(fake(made.vm_id)->paused());
  EXPECT_EQ(run(manager_->wake_machine("box")).value()->id(), made.vm_id);
}

TEST_F(SleepTest, a_flipped_bit_is_found_and_named) {
  const auto made = make();
  suspend();
  for (const std::string part : {"memory", "state"}) {
    flip(sleeps(made)[0] + "/" + part);
    const auto refused = run(manager_->wake_machine("box"));
    ASSERT_FALSE(refused) << part;
    EXPECT_EQ(refused.error().code, Code::DataLoss) << part;
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
    EXPECT_TRUE(is(State::suspended));
    flip(sleeps(made)[0] + "/" + part);
  }
  EXPECT_TRUE(run(manager_->wake_machine("box")));
}

TEST_F(SleepTest, a_guest_that_does_not_wake_is_named_and_starts_from_its_disk) {
  const auto made = make();
  suspend();
  driver_.wakes_that_fail = 1;
  EXPECT_FALSE(run(manager_->wake_machine("box")));
  EXPECT_TRUE(is(State::failed));
  EXPECT_TRUE(sleeps(made).empty());
  EXPECT_TRUE(driver_.alive.empty());
  const auto again = run(manager_->start("box")).value();
  EXPECT_FALSE(fake(again.vm_id)->spec().saved);
}

TEST_F(SleepTest, one_for_which_the_host_has_no_memory_sleeps_on) {
  make();
  suspend();
  host_memory_.available_mib = 1;
  EXPECT_EQ(run(manager_->wake_machine("box")).error().code, Code::ResourceExhausted);
  EXPECT_TRUE(is(State::suspended));
  host_memory_.available_mib = 16'000;
  EXPECT_TRUE(run(manager_->wake_machine("box")));
}

// What it had not written yet is in its memory: it is woken for the shutdown.
TEST_F(SleepTest, a_stop_shuts_it_down_properly_and_a_restart_begins_anew) {
  const auto made = make();
  suspend();
  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  EXPECT_EQ(driver_.woken, 2);
  EXPECT_TRUE(driver_.alive.empty());
  ASSERT_TRUE(run(manager_->start("box")));
  suspend();
  const auto again = run(manager_->restart("box")).value();
  EXPECT_FALSE(fake(again.vm_id)->spec().saved);
  EXPECT_TRUE(sleeps(made).empty());
  suspend();
  ASSERT_TRUE(run(manager_->remove("box")));
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(keys_->list(made.id).value().empty());
}

TEST_F(SleepTest, a_snapshot_of_it_does_not_wake_it) {
  make();
  suspend();
  const int machines = driver_.created;
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::pause)).value();
  EXPECT_GT(taken.bytes, 0U);
  EXPECT_EQ(driver_.created, machines);
  EXPECT_TRUE(is(State::suspended));
  const auto forks = run(manager_->fork("box", {taken.id, 1, "", ForkWish::Secrets::refuse})).value();
  EXPECT_EQ(forks.size(), 1U);
  EXPECT_EQ(driver_.created, machines + 1);
  const auto restored = run(manager_->restore("box", taken.id)).value();
  EXPECT_EQ(restored.state, State::running);
  EXPECT_FALSE(restored.asleep);
  EXPECT_TRUE(sleeps(restored).empty());
}

TEST_F(SleepTest, what_a_daemon_left_half_made_is_removed) {
  const auto made = make();
  const auto strange = new_id("sleep");
  ASSERT_TRUE(keys_->keep({made.id, "asleep/" + strange}, keys::make_key(keys::kDiskKeyBytes)));
  ASSERT_TRUE(make_directories(state_ + "/workspaces/" + made.id + "/asleep-" + strange + ".tmp"));
  reopen();
  EXPECT_TRUE(sleeps(made).empty());
  EXPECT_EQ(keys_->list(made.id).value().size(), 1U);
}

TEST_F(SleepTest, workloads_go_on_as_the_same_processes) {
  make();
  WorkloadSpec app;
  app.name = "app";
  app.argv = {"sleep"};
  ASSERT_TRUE(run(manager_->workloads().create("box", app)));
  const auto state = [&] { return manager_->workloads().get("box", "app").value().state; };
  ASSERT_TRUE(until([&] { return state() == WorkloadState::running; }));
  const auto started = manager_->workloads().get("box", "app").value().started_at;
  suspend();
  ASSERT_TRUE(until([&] { return state() == WorkloadState::pending; }));
  ASSERT_TRUE(run(manager_->wake_machine("box")));
  ASSERT_TRUE(until([&] { return state() == WorkloadState::running; }));
  EXPECT_EQ(manager_->workloads().get("box", "app").value().started_at, started);
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "workload_started"), 1);
  // A later start is one of its own.
  ASSERT_TRUE(run(manager_->restart("box")));
  ASSERT_TRUE(until([&] { return state() == WorkloadState::running; }));
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "workload_started"), 2);
}

TEST_F(SleepTest, a_command_that_can_be_followed_later_is_there_after_the_sleep_and_others_end) {
  make();
  model::ExecSpec command;
  command.argv = {"sleep"};
  command.timeout = 0ms;
  auto lost = run(manager_->exec("box", command)).value();
  command.tag = "mine";
  auto followed = run(manager_->exec("box", command)).value();
  suspend();
  EXPECT_FALSE(run(lost->read()));
  EXPECT_FALSE(run(followed->read()));
  ASSERT_TRUE(run(manager_->wake_machine("box")));
  auto left = manager_->take_left("box");
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].tag, "mine");
  ASSERT_TRUE(left[0].process->signal(9));
  EXPECT_FALSE(run(left[0].process->read()).value());
  EXPECT_TRUE(manager_->take_left("box").empty());
}

class RefusedWakingTest : public SleepTest {
 protected:
  void SetUp() override {
    options_.may_run = [this](std::string space, identity::Totals others, identity::Totals own) -> Task<void> {
      ++asked_;
      EXPECT_EQ(space, "");
      EXPECT_EQ(own.workspaces, 1U);
      EXPECT_EQ(own.memory_mib, 256U);
      others_ = others;
      if (refuse_) co_return fail(Code::PermissionDenied, "the namespace is suspended");
      co_return Status{};
    };
    SleepTest::SetUp();
  }
  template <class T>
  static void expect_refused(const Result<T>& answer) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::PermissionDenied) << answer.error().message;
  }
  bool refuse_ = false;
  int asked_ = 0;
  identity::Totals others_;
};

TEST_F(RefusedWakingTest, what_may_not_run_sleeps_on_whoever_calls) {
  const auto made = make();
  ASSERT_TRUE(run(manager_->create(spec("other"))));
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  EXPECT_EQ(asked_, 0);  // what is new is asked for elsewhere, and what runs runs on
  suspend();
  refuse_ = true;
  model::ExecSpec command;
  command.argv = {"print", "x"};
  expect_refused(run(manager_->wake_machine("box")));
  expect_refused(run(manager_->exec("box", command)));
  expect_refused(run(manager_->start("box")));
  expect_refused(run(manager_->resume("box")));
  expect_refused(run(manager_->restart("box")));
  expect_refused(run(manager_->restore("box", taken.id)));
  expect_refused(run(manager_->snapshot("box", AfterSnapshot::resume)));
  expect_refused(run(manager_->resize("box", Resources{{}, 256, {}}, Apply::now)));
  EXPECT_EQ(others_.workspaces, 1U);
  EXPECT_TRUE(is(State::suspended));
  EXPECT_EQ(sleeps(made).size(), 1U);
  EXPECT_EQ(manager_->snapshots("box").value().size(), 1U);
  EXPECT_EQ(driver_.alive.size(), 1U);  // the other's
  refuse_ = false;
  const auto machine = run(manager_->wake_machine("box")).value();
  EXPECT_TRUE(fake(machine->id())->spec().saved);
  refuse_ = true;
  EXPECT_TRUE(run(manager_->wake_machine("box")));  // it runs
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
}

TEST_F(RefusedWakingTest, it_can_be_stopped_and_is_not_started_again) {
  make();
  suspend();
  refuse_ = true;
  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  expect_refused(run(manager_->start("box")));
  EXPECT_TRUE(is(State::stopped));
  refuse_ = false;
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
}

TEST_F(RefusedWakingTest, one_whose_machine_died_stays_stopped_and_its_log_says_why) {
  auto wanted = spec("box", Mode::permanent);
  wanted.restart_policy = model::RestartPolicy::always;
  options_.restarts.first = 1ms;
  close(Manager::Permanent::stop);
  open();
  const auto made = run(manager_->create(wanted)).value();
  refuse_ = true;
  fake(made.vm_id)->die(vm::ExitReason::vmm_died);
  ASSERT_TRUE(until([&] { return asked_ > 0; }));
  EXPECT_TRUE(is(State::stopped));
  const auto says_why = [&] {
    const auto lines = run(manager_->logs("box", LogSource::boot, 0)).value();
    for (const auto& line : lines) {
      if (line.message.find("not started again: the namespace is suspended") != std::string::npos) return true;
    }
    return false;
  };
  EXPECT_TRUE(until(says_why));
}

}  // namespace
}  // namespace cofferdam::workspace

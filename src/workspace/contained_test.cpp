// What is contained stands still, is touched by nobody, and outlives its daemon.
#include <algorithm>

#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::State;

class ContainedTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    options_.contained = [this](const std::string& id) -> std::optional<std::string> {
      if (contained_.count(id) == 0) return std::nullopt;
      return "a test";
    };
  }
  void start() {
    open();
    ASSERT_TRUE(run(manager_->reconcile()));
  }
  Info make(model::Mode mode = model::Mode::temporary) { return run(manager_->create(spec("box", mode))).value(); }
  Info contain(const std::string& id) {
    contained_.insert(id);
    EXPECT_TRUE(run(manager_->seize(id)));
    return run(manager_->keep_still(id)).value();
  }
  template <class T>
  static void expect_refused(const Result<T>& answer) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::FailedPrecondition);
    EXPECT_NE(answer.error().message.find("is contained: a test"), std::string::npos) << answer.error().message;
  }
  std::set<std::string> contained_;
};

TEST_F(ContainedTest, its_vcpus_stop_while_somebody_else_has_its_turn) {
  start();
  const auto info = make();
  const auto machine = fake(info.vm_id);
  auto snail = begin(manager_->set_metadata(info.id, {{"a", "b"}}, MetadataChange::merge));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  EXPECT_TRUE(machine->paused());
  (void)finish(snail);  // it had its turn, or came too late
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().state, State::paused);
}

TEST_F(ContainedTest, a_restore_that_was_under_way_leaves_it_the_machine_that_it_has) {
  start();
  const auto info = make(model::Mode::permanent);
  const auto machine = fake(info.vm_id);
  const auto snapshot = run(manager_->snapshot(info.id, AfterSnapshot::resume)).value();
  driver_.create_takes = 50ms;
  auto restoring = begin(manager_->restore(info.id, snapshot.id));
  ASSERT_TRUE(until([&] { return driver_.creating_now > 0; }));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  EXPECT_TRUE(machine->paused());
  expect_refused(finish(restoring));
  EXPECT_TRUE(machine->alive());
  EXPECT_TRUE(machine->paused());
  EXPECT_EQ(driver_.alive.size(), 1U);
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().vm_id, info.vm_id);
}

TEST_F(ContainedTest, one_that_was_being_started_stands_still_when_it_is_seized) {
  start();
  const auto info = make(model::Mode::permanent);
  ASSERT_TRUE(run(manager_->stop(info.id)));
  driver_.create_takes = 50ms;
  auto starting = begin(manager_->start(info.id));
  ASSERT_TRUE(until([&] { return driver_.creating_now > 0; }));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  ASSERT_EQ(driver_.alive.size(), 1U);
  EXPECT_TRUE(driver_.alive.begin()->second->paused());
  (void)finish(starting);
  EXPECT_TRUE(driver_.alive.begin()->second->paused());
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().state, State::paused);
}

TEST_F(ContainedTest, its_time_does_not_end_it_while_it_is_being_contained) {
  start();
  auto wanted = spec("box");
  wanted.ttl = 1s;
  const auto info = run(manager_->create(wanted)).value();
  const auto machine = fake(info.vm_id);
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  ASSERT_TRUE(run(loop::sleep_for(1300ms)));  // as long as its memory may take to be kept
  EXPECT_TRUE(machine->alive());
  EXPECT_GT(run(manager_->preserve(info.id)).value().bytes, 0U);
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().vm_id, info.vm_id);
}

TEST_F(ContainedTest, nothing_can_be_done_with_it) {
  start();
  const auto info = make(model::Mode::permanent);
  const auto held = contain(info.id);
  EXPECT_EQ(held.state, State::paused);
  EXPECT_FALSE(held.expires_at);
  expect_refused(run(manager_->start("box")));
  expect_refused(run(manager_->resume("box")));
  expect_refused(run(manager_->stop("box")));
  expect_refused(run(manager_->restart("box")));
  expect_refused(run(manager_->pause("box")));
  expect_refused(run(manager_->suspend("box")));
  expect_refused(run(manager_->remove("box")));
  expect_refused(run(manager_->update("box", Change{"other", {}, {}})));
  expect_refused(run(manager_->set_ttl("box", 1h, {})));
  expect_refused(run(manager_->ping("box", {})));
  expect_refused(run(manager_->clear_logs("box")));
  expect_refused(run(manager_->wake_machine("box")));
  model::ExecSpec command;
  command.argv = {"print", "x"};
  expect_refused(run(manager_->exec("box", command)));
  expect_refused(manager_->machine("box"));
  EXPECT_FALSE(manager_->check_free("box"));
  EXPECT_TRUE(manager_->get("box"));
  contained_.clear();
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
  EXPECT_TRUE(run(manager_->remove("box")));
}

TEST_F(ContainedTest, its_memory_and_disk_are_kept_and_may_be_gone_back_to_once_it_is_released) {
  start();
  const auto info = make();
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  const auto kept = run(manager_->preserve(info.id)).value();
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().state, State::paused);
  EXPECT_TRUE(fake(info.vm_id)->paused());
  expect_refused(run(manager_->remove_snapshot("box", kept.id)));
  expect_refused(run(manager_->restore("box", kept.id)));
  // The workspace was temporary: what it had is there nevertheless after the daemon's end.
  close(Manager::Permanent::stop);
  start();
  ASSERT_EQ(manager_->snapshots("box").value().size(), 1U);
  contained_.clear();
  EXPECT_TRUE(run(manager_->restore("box", kept.id)));
}

TEST_F(ContainedTest, one_that_sleeps_is_kept_without_being_woken) {
  start();
  const auto info = make(model::Mode::permanent);
  ASSERT_TRUE(run(manager_->suspend("box")));
  const int machines = driver_.created;
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  const auto kept = run(manager_->preserve(info.id)).value();
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().state, State::paused);
  expect_refused(run(manager_->wake_machine("box")));
  close(Manager::Permanent::keep_running);
  start();
  EXPECT_EQ(manager_->get(info.id).value().state, State::paused);
  EXPECT_EQ(driver_.created, machines);
  contained_.clear();
  // Only somebody's word wakes it, and it goes on where it was.
  EXPECT_EQ(run(manager_->wake_machine("box")).error().code, Code::FailedPrecondition);
  const auto going = run(manager_->start("box")).value();
  EXPECT_TRUE(fake(going.vm_id)->spec().saved);
  EXPECT_EQ(manager_->snapshots("box").value().front().id, kept.id);
}

// None of them could be removed to make place for it.
TEST_F(ContainedTest, its_memory_is_kept_however_many_snapshots_there_are) {
  start();
  const auto info = make();
  for (std::size_t i = 0; i < kMaxSnapshots; ++i) ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  ASSERT_FALSE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  EXPECT_TRUE(run(manager_->preserve(info.id)));
}

TEST_F(ContainedTest, its_time_does_not_end_it) {
  start();
  auto wish = spec("box");
  wish.ttl = 1s;
  const auto info = run(manager_->create(wish)).value();
  contain(info.id);
  (void)until([] { return false; }, 1500ms);
  ASSERT_TRUE(manager_->get("box"));
  EXPECT_EQ(driver_.alive.count(info.vm_id), 1U);
}

TEST_F(ContainedTest, it_outlives_its_daemon_and_is_taken_over_without_running) {
  start();
  const auto info = make();
  contain(info.id);
  const auto machine = fake(info.vm_id);
  close(Manager::Permanent::stop);
  EXPECT_TRUE(machine->alive());
  start();
  EXPECT_EQ(manager_->get("box").value().state, State::paused);
  EXPECT_TRUE(machine->paused());
  expect_refused(run(manager_->resume("box")));
  contained_.clear();
  EXPECT_EQ(run(manager_->resume("box")).value().state, State::running);
  EXPECT_FALSE(machine->paused());
}

// The disk of a temporary one is its machine's alone then.
TEST_F(ContainedTest, one_of_a_former_daemon_is_contained_too) {
  start();
  const auto info = make();
  contained_.insert(info.id);  // no step is taken, but it outlives the daemon
  close(Manager::Permanent::keep_running);
  start();
  ASSERT_TRUE(run(manager_->seize(info.id)));
  EXPECT_TRUE(run(manager_->preserve(info.id)));
  const auto held = run(manager_->keep_still(info.id));
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(held->state, State::paused);
  contained_.clear();
}

// The daemon died when the containment had begun and the machine still ran.
TEST_F(ContainedTest, what_still_ran_stands_still_when_it_is_taken_over) {
  start();
  const auto info = make(model::Mode::permanent);
  const auto machine = fake(info.vm_id);
  close(Manager::Permanent::keep_running);
  contained_.insert(info.id);
  start();
  EXPECT_TRUE(machine->paused());
  EXPECT_EQ(manager_->get("box").value().state, State::paused);
  contained_.clear();
}

TEST_F(ContainedTest, a_machine_that_dies_leaves_its_workspace_there) {
  options_.restarts = {1ms, 5ms, 1s};
  start();
  auto wish = spec("box", model::Mode::permanent);
  wish.restart_policy = model::RestartPolicy::always;
  const auto info = run(manager_->create(wish)).value();
  contain(info.id);
  fake(info.vm_id)->die(vm::ExitReason::vmm_died);
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopped; }));
  (void)until([] { return false; }, 100ms);
  EXPECT_EQ(manager_->get("box").value().state, State::stopped);
  contained_.clear();
}

TEST_F(ContainedTest, what_was_kept_of_it_can_be_handed_out_and_looked_into) {
  start();
  const auto info = make();
  contain(info.id);
  const auto kept = run(manager_->preserve(info.id)).value();
  EXPECT_EQ(run(manager_->sealed_snapshot(info.id, kept.id)).value().files.size(), std::size(kSnapshotFiles));
  EXPECT_TRUE(run(manager_->console(info.id)));
  const auto scratch = run(manager_->scratch(info.id, kept.id, {}));
  ASSERT_TRUE(scratch) << scratch.error().message;
  EXPECT_TRUE(scratch->isolated);
  EXPECT_EQ(manager_->get(info.id).value().state, State::paused);
}

class ContainedAsleepTest : public ContainedTest {
 protected:
  Info make_asleep() {
    start();
    made_ = make(model::Mode::permanent);
    EXPECT_EQ(run(manager_->suspend("box")).value().state, State::suspended);
    return made_;
  }
  std::size_t sleeps() {
    const auto names = list_directory(state_ + "/workspaces/" + made_.id).value();
    return static_cast<std::size_t>(
        std::count_if(names.begin(), names.end(), [](const auto& name) { return name.starts_with("asleep-"); }));
  }
  Info made_;
};

TEST_F(ContainedAsleepTest, what_was_saved_is_kept_and_nobody_wakes_it_before_its_release) {
  const auto info = make_asleep();
  const int machines = driver_.created;
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  const auto kept = run(manager_->preserve(info.id)).value();
  EXPECT_GT(kept.bytes, 0U);
  const auto held = run(manager_->keep_still(info.id)).value();
  EXPECT_EQ(held.state, State::paused);
  EXPECT_TRUE(held.asleep);
  EXPECT_FALSE(held.expires_at);
  expect_refused(run(manager_->wake_machine("box")));
  expect_refused(run(manager_->start("box")));
  expect_refused(run(manager_->resume("box")));
  expect_refused(run(manager_->stop("box")));
  expect_refused(run(manager_->restart("box")));
  expect_refused(run(manager_->restore("box", kept.id)));
  expect_refused(run(manager_->fork("box", {kept.id, 1, "", ForkWish::Secrets::refuse})));
  expect_refused(run(manager_->snapshot("box", AfterSnapshot::resume)));
  expect_refused(run(manager_->remove("box")));
  model::ExecSpec command;
  command.argv = {"print", "x"};
  expect_refused(run(manager_->exec("box", command)));
  EXPECT_EQ(driver_.created, machines);
  EXPECT_EQ(sleeps(), 1U);

  close(Manager::Permanent::stop);
  start();
  EXPECT_EQ(manager_->get("box").value().state, State::paused);
  EXPECT_TRUE(manager_->get("box").value().asleep);
  EXPECT_EQ(sleeps(), 1U);
  expect_refused(run(manager_->wake_machine("box")));
  // Whoever looks into it has what it was.
  EXPECT_EQ(run(manager_->sealed_snapshot("box", kept.id)).value().snapshot.id, kept.id);
  const auto scratch = run(manager_->scratch("box", kept.id, {})).value();
  EXPECT_TRUE(fake(scratch.vm_id)->spec().saved);

  contained_.clear();
  const auto going = run(manager_->resume("box")).value();
  EXPECT_EQ(going.state, State::running);
  EXPECT_TRUE(fake(going.vm_id)->spec().saved);
  EXPECT_EQ(sleeps(), 0U);
}

TEST_F(ContainedAsleepTest, one_that_was_being_woken_sleeps_on) {
  const auto info = make_asleep();
  driver_.create_takes = 50ms;
  auto waking = begin(manager_->wake_machine("box"));
  ASSERT_TRUE(until([&] { return driver_.creating_now > 0; }));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  EXPECT_TRUE(driver_.alive.empty());
  expect_refused(finish(waking));
  EXPECT_EQ(driver_.woken, 1);  // when it was made
  EXPECT_EQ(sleeps(), 1U);
  EXPECT_GT(run(manager_->preserve(info.id)).value().bytes, 0U);
  EXPECT_TRUE(run(manager_->keep_still(info.id)).value().asleep);
}

TEST_F(ContainedAsleepTest, one_whose_guest_was_answering_already_stands_still_where_it_is) {
  const auto info = make_asleep();
  driver_.wake_takes = 50ms;
  auto waking = begin(manager_->wake_machine("box"));
  ASSERT_TRUE(until([&] { return !driver_.alive.empty() && !manager_->get("box").value().vm_id.empty(); }));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));  // as soon as it has come up
  ASSERT_EQ(driver_.alive.size(), 1U);
  const auto machine = driver_.alive.begin()->second;
  EXPECT_TRUE(machine->paused());
  expect_refused(finish(waking));
  const auto kept = run(manager_->preserve(info.id)).value();
  EXPECT_EQ(run(manager_->keep_still(info.id)).value().state, State::paused);
  EXPECT_TRUE(machine->paused());
  EXPECT_TRUE(machine->alive());
  EXPECT_EQ(manager_->snapshots("box").value().back().id, kept.id);
  contained_.clear();
  EXPECT_EQ(run(manager_->resume("box")).value().vm_id, machine->id());
  EXPECT_FALSE(machine->paused());
}

TEST_F(ContainedAsleepTest, a_stop_that_was_waking_it_gives_nothing_up) {
  const auto info = make_asleep();
  driver_.create_takes = 50ms;
  auto stopping = begin(manager_->stop("box"));
  ASSERT_TRUE(until([&] { return driver_.creating_now > 0; }));
  contained_.insert(info.id);
  ASSERT_TRUE(run(manager_->seize(info.id)));
  expect_refused(finish(stopping));
  EXPECT_EQ(sleeps(), 1U);
  EXPECT_TRUE(run(manager_->keep_still(info.id)).value().asleep);
  EXPECT_GT(run(manager_->preserve(info.id)).value().bytes, 0U);
}

}  // namespace
}  // namespace cofferdam::workspace

#include "workspace/pool.h"

#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

class PoolTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    options_.pool_size = 2;
  }
  void open_with_pools() {
    open();
    manager_->start_pools();
  }
  bool until_ready(std::uint32_t wanted) {
    return until([&] {
      const auto pools = manager_->host_info().pools;
      return !pools.empty() && pools[0].ready == wanted;
    });
  }
  static model::WorkspaceSpec of_shape(std::uint32_t memory_mib) {
    auto wanted = spec();
    wanted.memory_mib = memory_mib;
    return wanted;
  }
};

TEST_F(PoolTest, the_second_workspace_of_a_kind_comes_from_the_pool) {
  open_with_pools();
  EXPECT_FALSE(run(manager_->create(spec())).value().from_pool);
  ASSERT_TRUE(until_ready(2));
  const auto info = run(manager_->create(spec("box", model::Mode::permanent))).value();
  EXPECT_TRUE(info.from_pool);
  EXPECT_EQ(fake(info.vm_id)->claimed()->lease, vm::Lease::own);
  EXPECT_TRUE(path_exists(disk_of(info)));
  ASSERT_TRUE(until_ready(2));
  EXPECT_EQ(driver_.created, 4);  // none is used twice
}

TEST_F(PoolTest, the_default_image_is_warm_before_anybody_asked_and_from_when_it_exists) {
  options_.default_image = "late";
  open_with_pools();
  EXPECT_FALSE(until([&] { return !manager_->host_info().pools.empty(); }, 50ms));
  add_image("late");
  ASSERT_TRUE(until_ready(2));
  auto wanted = model::WorkspaceSpec();
  wanted.image = "late";
  wanted.ttl = 1h;
  EXPECT_TRUE(run(manager_->create(wanted)).value().from_pool);
}

TEST_F(PoolTest, limits_that_differ_from_the_pools_are_made_to_measure) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_ready(2));
  auto slow = spec();
  slow.cpu_millis = 500;
  EXPECT_FALSE(run(manager_->create(slow)).value().from_pool);
  auto throttled = spec();
  throttled.io.operations_per_second = 10;
  EXPECT_FALSE(run(manager_->create(throttled)).value().from_pool);
}

TEST_F(PoolTest, a_dead_member_is_replaced_and_never_handed_out) {
  open_with_pools();
  const auto first = run(manager_->create(spec())).value();
  ASSERT_TRUE(until_ready(2));
  const auto machines = driver_.alive;
  for (const auto& [id, machine] : machines) {
    if (id != first.vm_id) machine->die(vm::ExitReason::vmm_died);
  }
  const auto info = run(manager_->create(spec())).value();
  EXPECT_TRUE(fake(info.vm_id)->alive());
  ASSERT_TRUE(until_ready(2));
}

TEST_F(PoolTest, a_member_that_cannot_be_claimed_is_made_up_for) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_ready(2));
  driver_.claims_that_fail = 1;
  const auto info = run(manager_->create(spec("box", model::Mode::permanent)));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_FALSE(info->from_pool);
  EXPECT_TRUE(fake(info->vm_id)->alive());
}

TEST_F(PoolTest, failures_back_off_and_end) {
  open_with_pools();
  auto create = begin(manager_->create(spec()));
  ASSERT_TRUE(until([&] { return driver_.created == 1; }));
  // From here on it is the pool that makes machines, perhaps before the create is answered.
  driver_.creates_that_fail = 2;
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(finish(create));
  ASSERT_TRUE(until_ready(2));
  EXPECT_GE(std::chrono::steady_clock::now() - began, 20ms + 40ms);
}

TEST_F(PoolTest, members_of_an_older_build_of_the_image_are_not_used) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_ready(2));
  add_image("small", "d2");
  const auto info = run(manager_->create(spec())).value();
  EXPECT_FALSE(info.from_pool);
  EXPECT_EQ(fake(info.vm_id)->spec().image.digest, "d2");
  ASSERT_TRUE(until_ready(2));
  EXPECT_EQ(manager_->host_info().pools.size(), 1U);
  for (const auto& [id, machine] : driver_.alive) {
    if (!machine->claimed()) EXPECT_EQ(machine->spec().image.digest, "d2");
  }
}

TEST_F(PoolTest, only_the_kinds_asked_for_lately_are_kept) {
  options_.pool.max_kinds = 2;
  open_with_pools();
  for (const std::uint32_t memory : {128U, 256U, 384U}) ASSERT_TRUE(run(manager_->create(of_shape(memory))));
  ASSERT_TRUE(until([&] {
    const auto pools = manager_->host_info().pools;
    return pools.size() == 2 && pools[0].ready == 2 && pools[1].ready == 2;
  }));
  const auto pools = manager_->host_info().pools;
  EXPECT_EQ(pools[0].shape.memory_mib, 384U);
  EXPECT_EQ(pools[1].shape.memory_mib, 256U);
}

TEST_F(PoolTest, a_kind_that_nobody_asks_for_is_drained) {
  options_.pool.keep = 50ms;
  open_with_pools();
  const auto info = run(manager_->create(spec())).value();
  ASSERT_TRUE(until([&] { return manager_->host_info().pools.empty(); }));
  EXPECT_TRUE(until([&] { return driver_.alive.size() == 1; }));
  EXPECT_TRUE(fake(info.vm_id)->alive());
}

TEST_F(PoolTest, a_workspace_comes_before_the_pool_when_memory_is_short) {
  host_memory_ = {1024, 1000};  // at most 2048 are promised
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(of_shape(256))));
  ASSERT_TRUE(until_ready(2));
  // 3 * 320 are promised; 960 + 64 fit beside two of them only.
  auto big = of_shape(600);
  ASSERT_TRUE(run(manager_->create(big)));
  EXPECT_TRUE(run(manager_->create(big)));
  EXPECT_GE(driver_.destroyed.size(), 1U);
}

TEST_F(PoolTest, members_go_when_the_host_runs_short_of_memory) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_ready(2));
  host_memory_.available_mib = 100;
  ASSERT_TRUE(until_ready(0));
  EXPECT_EQ(manager_->list().size(), 1U);
}

TEST_F(PoolTest, refilling_waits_while_somebody_waits_for_a_machine) {
  driver_.create_takes = 500ms;  // so that the two meet on a busy machine too
  open_with_pools();
  auto first = begin(manager_->create(of_shape(128)));
  auto second = begin(manager_->create(of_shape(256)));
  EXPECT_TRUE(finish(first));
  EXPECT_TRUE(finish(second));
  EXPECT_EQ(driver_.most_creating_at_once, 2);  // the two, and nothing of the pool
}

TEST_F(PoolTest, a_shutdown_destroys_the_members) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_ready(2));
  close(Manager::Permanent::keep_running);
  EXPECT_TRUE(driver_.alive.empty());
}

class StandbyTest : public PoolTest {
 protected:
  void SetUp() override {
    PoolTest::SetUp();
    options_.pool_size = 0;
    options_.pool_standby = 1;
  }
  bool until_standing_by() {
    return until([&] {
      const auto pools = manager_->host_info().pools;
      return !pools.empty() && pools[0].standby == 1;
    });
  }
};

TEST_F(StandbyTest, a_workspace_without_a_ready_machine_wakes_the_one_on_standby) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_standing_by());
  EXPECT_EQ(driver_.created, 2);
  const auto info = run(manager_->create(spec())).value();
  EXPECT_FALSE(info.from_pool);  // it was not ready
  EXPECT_TRUE(fake(info.vm_id)->claimed().has_value());
  ASSERT_TRUE(until_standing_by());
  EXPECT_EQ(driver_.created, 3);
}

TEST_F(StandbyTest, a_machine_on_standby_that_does_not_wake_is_replaced_by_a_fresh_one) {
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_standing_by());
  const int before = driver_.created;
  driver_.wakes_that_fail = 1;
  ASSERT_TRUE(run(manager_->create(spec("box", model::Mode::permanent))));
  EXPECT_GE(driver_.created, before + 1);
  EXPECT_EQ(driver_.destroyed.size(), 1U);
}

TEST_F(StandbyTest, a_machine_on_standby_is_given_up_first_when_memory_is_short) {
  options_.pool_size = 1;
  open_with_pools();
  ASSERT_TRUE(run(manager_->create(spec())));
  ASSERT_TRUE(until_standing_by());
  host_memory_.available_mib = 64;
  ASSERT_TRUE(until([&] {
    const auto pools = manager_->host_info().pools;
    return !pools.empty() && pools[0].standby == 0;
  }));
}

}  // namespace
}  // namespace cofferdam::workspace

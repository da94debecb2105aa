#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;

class ManagerTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    open();
  }
  std::string read_all(vm::GuestProcess& process) {
    std::string all;
    for (;;) {
      auto next = run(process.read());
      if (!next) return "error: " + next.error().message;
      if (!*next) return all;
      all += (*next)->bytes;
    }
  }
  static model::ExecSpec command(std::vector<std::string> argv) {
    model::ExecSpec spec;
    spec.argv = std::move(argv);
    return spec;
  }
};

TEST_F(ManagerTest, a_created_workspace_runs_on_a_disk_of_its_own_with_its_own_name) {
  auto wanted = spec("My Box!");
  wanted.io.bytes_per_second = 1000;
  wanted.cpu_millis = 500;
  const auto info = run(manager_->create(wanted)).value();
  EXPECT_EQ(info.state, State::running);
  EXPECT_EQ(info.hostname, "my-box");
  EXPECT_TRUE(info.expires_at.has_value());
  const auto machine = fake(info.vm_id);
  EXPECT_EQ(machine->claimed()->hostname, "my-box");
  EXPECT_EQ(machine->claimed()->lease, vm::Lease::own);
  EXPECT_EQ(machine->claimed()->ttl, 1h);
  EXPECT_EQ(machine->spec().cpu_millis, 500U);
  EXPECT_EQ(machine->spec().shape.vcpus, 1U);
  EXPECT_EQ(machine->spec().io.bytes_per_second, 1000U);
  EXPECT_EQ(machine->spec().disk_bytes, 64U << 20);
  EXPECT_EQ(folders(), std::vector<std::string>{info.id});
  EXPECT_EQ(manager_->get("My Box!").value().id, info.id);
  EXPECT_EQ(manager_->host_info().running, 1U);
}

TEST_F(ManagerTest, removal_leaves_nothing) {
  const auto info = run(manager_->create(spec())).value();
  const auto removal = run(manager_->remove(info.id)).value();
  EXPECT_EQ(removal.id, info.id);
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_TRUE(folders().empty());
  EXPECT_EQ(manager_->get(info.id).error().code, Code::NotFound);
  EXPECT_EQ(run(manager_->remove(info.id)).error().code, Code::NotFound);
}

TEST_F(ManagerTest, a_failed_create_leaves_nothing) {
  driver_.creates_that_fail = 1;
  EXPECT_EQ(run(manager_->create(spec("a"))).error().code, Code::Internal);
  driver_.claims_that_fail = 1;
  const auto unconfirmed = run(manager_->create(spec("a", Mode::permanent)));
  ASSERT_FALSE(unconfirmed);
  EXPECT_NE(unconfirmed.error().message.find("identity"), std::string::npos);
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(driver_.alive.empty());
  // The name and the memory are free again.
  EXPECT_TRUE(run(manager_->create(spec("a"))));
}

TEST_F(ManagerTest, an_unknown_image_is_named) {
  auto wanted = spec();
  wanted.image = "nowhere";
  EXPECT_EQ(run(manager_->create(wanted)).error().code, Code::NotFound);
  EXPECT_TRUE(manager_->list().empty());
}

TEST_F(ManagerTest, a_name_is_taken_from_the_moment_it_is_asked_for) {
  auto first = begin(manager_->create(spec("twin")));
  auto second = run(manager_->create(spec("twin")));
  EXPECT_EQ(second.error().code, Code::AlreadyExists);
  EXPECT_TRUE(finish(first));
  auto like_an_id = spec(manager_->list().at(0).id);
  EXPECT_EQ(run(manager_->create(like_an_id)).error().code, Code::InvalidArgument);
}

TEST_F(ManagerTest, more_memory_than_the_host_has_is_refused_with_the_figures) {
  auto wanted = spec();
  wanted.memory_mib = 32'768;
  const auto refused = run(manager_->create(wanted));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::ResourceExhausted);
  EXPECT_NE(refused.error().message.find("32 GiB"), std::string::npos);
  EXPECT_NE(refused.error().message.find("16 GiB"), std::string::npos);
  EXPECT_EQ(driver_.created, 0);
}

TEST_F(ManagerTest, the_promised_memory_is_bounded_and_comes_back) {
  host_memory_ = {2048, 2000};
  auto wanted = spec();
  wanted.memory_mib = 1024;
  std::vector<std::string> ids;
  for (;;) {
    auto made = run(manager_->create(wanted));
    if (!made) {
      EXPECT_EQ(made.error().code, Code::ResourceExhausted);
      break;
    }
    ids.push_back(made->id);
    ASSERT_LT(ids.size(), 10U);
  }
  EXPECT_EQ(ids.size(), 3U);  // 3 * 1088 MiB of at most 2 * 2048
  EXPECT_TRUE(run(manager_->remove(ids[0])));
  EXPECT_TRUE(run(manager_->create(wanted)));
}

TEST_F(ManagerTest, a_temporary_workspace_is_gone_when_its_machine_dies) {
  const auto info = run(manager_->create(spec())).value();
  fake(info.vm_id)->die(vm::ExitReason::vmm_died, "segfault");
  EXPECT_TRUE(until([&] { return manager_->list().empty(); }));
  EXPECT_TRUE(folders().empty());
}

TEST_F(ManagerTest, a_temporary_workspace_is_gone_when_its_time_is_over) {
  auto wanted = spec();
  wanted.ttl = 1s;
  const auto info = run(manager_->create(wanted)).value();
  const auto longer = run(manager_->set_ttl(info.id, 1500ms)).value();
  EXPECT_GT(longer.expires_at, info.expires_at);
  EXPECT_EQ(run(manager_->set_ttl(info.id, std::nullopt)).error().code, Code::InvalidArgument);
  EXPECT_EQ(run(manager_->set_ttl(info.id, 10ms)).error().code, Code::InvalidArgument);
  EXPECT_TRUE(until([&] { return manager_->list().empty(); }));
  EXPECT_TRUE(folders().empty());
}

TEST_F(ManagerTest, a_permanent_workspace_stops_and_starts_on_the_same_disk) {
  const auto made = run(manager_->create(spec("box", Mode::permanent))).value();
  const std::string disk = disk_of(made);
  ASSERT_TRUE(path_exists(disk));
  ASSERT_EQ(::pwrite(fake(made.vm_id)->spec().disk.get(), "kept", 4, 32 << 20), 4);

  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_TRUE(run(manager_->stop("box")));  // again: nothing to do
  EXPECT_EQ(manager_->machine("box").error().code, Code::FailedPrecondition);

  const auto again = run(manager_->start("box")).value();
  EXPECT_EQ(again.state, State::running);
  EXPECT_NE(again.vm_id, made.vm_id);
  char seen[4];
  ASSERT_EQ(::pread(fake(again.vm_id)->spec().disk.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
  EXPECT_EQ(run(manager_->start("box")).value().vm_id, again.vm_id);

  EXPECT_TRUE(run(manager_->remove("box")));
  EXPECT_FALSE(path_exists(disk));
  EXPECT_TRUE(folders().empty());
}

TEST_F(ManagerTest, a_permanent_workspace_is_stopped_when_its_machine_dies_and_says_why) {
  const auto made = run(manager_->create(spec("box", Mode::permanent))).value();
  fake(made.vm_id)->die(vm::ExitReason::out_of_memory);
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopped; }));
  EXPECT_NE(manager_->get("box").value().state_detail.find("memory"), std::string::npos);
  EXPECT_TRUE(run(manager_->start("box")));
}

TEST_F(ManagerTest, a_start_that_fails_can_be_tried_again) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  ASSERT_TRUE(run(manager_->stop("box")));
  driver_.creates_that_fail = 1;
  EXPECT_FALSE(run(manager_->start("box")));
  EXPECT_EQ(manager_->get("box").value().state, State::failed);
  EXPECT_NE(manager_->get("box").value().state_detail.find("VMM did not start"), std::string::npos);
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
}

TEST_F(ManagerTest, a_temporary_workspace_cannot_be_stopped) {
  const auto info = run(manager_->create(spec())).value();
  EXPECT_EQ(run(manager_->stop(info.id)).error().code, Code::FailedPrecondition);
  EXPECT_EQ(manager_->get(info.id).value().state, State::running);
}

TEST_F(ManagerTest, a_removal_during_a_stop_waits_and_then_removes) {
  const auto info = run(manager_->create(spec("box", Mode::permanent))).value();
  driver_.shut_down_takes = 50ms;
  auto stop = begin(manager_->stop("box"));
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopping; }));
  auto second_stop = begin(manager_->stop("box"));
  auto removal = begin(manager_->remove("box"));
  EXPECT_EQ(finish(stop).value().state, State::stopped);
  EXPECT_EQ(finish(second_stop).value().state, State::stopped);
  EXPECT_EQ(finish(removal).value().id, info.id);
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(ManagerTest, a_removal_during_a_create_waits_and_then_removes) {
  driver_.create_takes = 50ms;
  auto create = begin(manager_->create(spec("box")));
  ASSERT_TRUE(until([&] { return driver_.creating_now == 1; }));
  EXPECT_EQ(manager_->get("box").value().state, State::creating);
  auto removal = begin(manager_->remove("box"));
  EXPECT_TRUE(finish(create));
  EXPECT_TRUE(finish(removal));
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_TRUE(folders().empty());
}

TEST_F(ManagerTest, a_create_whose_caller_went_away_is_undone) {
  driver_.create_takes = 30ms;
  loop::asio::cancellation_signal signal;
  bool ended = false;
  loop::asio::co_spawn(io_, manager_->create(spec("lost")),
                       loop::asio::bind_cancellation_slot(
                           signal.slot(), [&](const std::exception_ptr&, const Result<Info>&) { ended = true; }));
  ASSERT_TRUE(until([&] { return driver_.creating_now == 1; }));
  loop::asio::post(io_, [&] { signal.emit(loop::asio::cancellation_type::terminal); });
  EXPECT_TRUE(until([&] { return ended; }));
  EXPECT_TRUE(until([&] { return manager_->list().empty(); }));
  EXPECT_EQ(driver_.created, 1);
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_TRUE(folders().empty());
}

TEST_F(ManagerTest, only_so_many_machines_are_started_at_once) {
  driver_.create_takes = 300ms;
  std::vector<std::shared_ptr<std::optional<Result<Info>>>> creates;
  creates.reserve(12);
  for (int i = 0; i < 12; ++i) creates.push_back(begin(manager_->create(spec())));
  for (auto& create : creates) EXPECT_TRUE(finish(create));
  EXPECT_EQ(driver_.most_creating_at_once, static_cast<int>(options_.cold_starts_at_once));
}

TEST_F(ManagerTest, the_number_of_workspaces_is_bounded) {
  close(Manager::Permanent::stop);
  options_.max_workspaces = 1;
  open();
  ASSERT_TRUE(run(manager_->create(spec())));
  EXPECT_EQ(run(manager_->create(spec())).error().code, Code::ResourceExhausted);
}

TEST_F(ManagerTest, a_command_gets_the_image_then_the_workspace_then_its_own_environment) {
  auto wanted = spec();
  wanted.env = {"LANG=de", "TOKEN=1"};
  const auto info = run(manager_->create(wanted)).value();
  auto asked = command({"env"});
  asked.env = {"TOKEN=2"};
  auto process = run(manager_->exec(info.id, asked)).value();
  EXPECT_EQ(read_all(*process), "/home|user|PATH=/bin|LANG=de|TOKEN=2");
  asked.cwd = "/srv";
  asked.user = "root";
  process = run(manager_->exec(info.id, asked)).value();
  EXPECT_EQ(read_all(*process), "/srv|root|PATH=/bin|LANG=de|TOKEN=2");
}

TEST_F(ManagerTest, a_command_that_prints_too_much_is_ended_at_the_limit) {
  const auto info = run(manager_->create(spec())).value();
  auto flood = command({"flood"});
  flood.max_output_bytes = 2500;
  auto process = run(manager_->exec(info.id, flood)).value();
  EXPECT_EQ(read_all(*process).size(), 2500U);
  EXPECT_TRUE(process->exit_status().output_limited);
  EXPECT_EQ(process->exit_status().code, 137);
  EXPECT_TRUE(fake(info.vm_id)->alive());
}

TEST_F(ManagerTest, output_over_the_limit_is_never_a_success_even_when_the_command_ended_by_itself) {
  const auto info = run(manager_->create(spec())).value();
  auto print = command({"print", "123456"});
  print.max_output_bytes = 5;
  auto process = run(manager_->exec(info.id, print)).value();
  EXPECT_EQ(read_all(*process), "12345");
  EXPECT_TRUE(process->exit_status().output_limited);
  EXPECT_EQ(process->exit_status().code, 137);
}

TEST_F(ManagerTest, output_of_exactly_the_limit_is_no_offence) {
  const auto info = run(manager_->create(spec())).value();
  auto print = command({"print", "12345"});
  print.max_output_bytes = 5;
  auto process = run(manager_->exec(info.id, print)).value();
  EXPECT_EQ(read_all(*process), "12345");
  EXPECT_FALSE(process->exit_status().output_limited);
}

TEST_F(ManagerTest, a_command_needs_a_running_workspace) {
  EXPECT_EQ(run(manager_->exec("ws_none", command({"print", "x"}))).error().code, Code::NotFound);
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  ASSERT_TRUE(run(manager_->stop("box")));
  const auto refused = run(manager_->exec("box", command({"print", "x"})));
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().hint.find("coffer start"), std::string::npos);
}

TEST_F(ManagerTest, a_shutdown_ends_temporary_workspaces_and_keeps_permanent_ones) {
  ASSERT_TRUE(run(manager_->create(spec("short"))));
  const auto kept = run(manager_->create(spec("long", Mode::permanent))).value();
  close(Manager::Permanent::keep_running);
  EXPECT_EQ(folders(), std::vector<std::string>{kept.id});
  ASSERT_EQ(driver_.alive.size(), 1U);
  EXPECT_TRUE(fake(kept.vm_id)->alive());
}

TEST_F(ManagerTest, nothing_new_begins_during_a_shutdown) {
  const auto info = run(manager_->create(spec("box", Mode::permanent))).value();
  ASSERT_TRUE(run(manager_->shut_down(Manager::Permanent::stop)));
  EXPECT_EQ(run(manager_->create(spec())).error().code, Code::Unavailable);
  EXPECT_EQ(run(manager_->start("box")).error().code, Code::Unavailable);
  EXPECT_TRUE(driver_.alive.empty());
  manager_.reset();
}

}  // namespace
}  // namespace cofferdam::workspace

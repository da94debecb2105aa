#include "workspace/workloads.h"

#include "workspace/backoff.h"
#include "workspace/supervisor.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::RestartPolicy;
using model::State;

TEST(Backoff, delays_grow_to_the_longest_and_end_with_the_restarts) {
  Backoff backoff;
  backoff.first = 100ms;
  backoff.longest = 1000ms;
  backoff.max_restarts = 6;
  std::vector<std::int64_t> delays;
  for (std::uint32_t i = 0; backoff.delay(i); ++i) delays.push_back(backoff.delay(i)->count());
  EXPECT_EQ(delays, (std::vector<std::int64_t>{100, 200, 400, 800, 1000, 1000}));
  backoff.max_restarts = 0;
  EXPECT_EQ(backoff.delay(4'000'000'000U), 1000ms);
  backoff.factor = 1;
  EXPECT_EQ(backoff.delay(4'000'000'000U), 100ms);
  backoff.first = 0ms;
  backoff.factor = 2;
  EXPECT_EQ(backoff.delay(7), 0ms);
}

TEST(Backoff, a_run_that_lasted_makes_the_next_restart_the_first_again) {
  Backoff backoff;
  EXPECT_EQ(backoff.in_a_row(5, backoff.forgotten_after - 1ms), 5U);
  EXPECT_EQ(backoff.in_a_row(5, backoff.forgotten_after), 0U);
}

TEST(TreeUsage, a_process_is_counted_with_those_it_started_also_when_the_guest_lies) {
  const auto process = [](std::uint32_t pid, std::uint32_t parent) {
    vm::GuestProcessInfo info;
    info.pid = pid;
    info.parent_pid = parent;
    info.cpu_ms = 10;
    info.rss_kib = 1;
    return info;
  };
  const std::vector<vm::GuestProcessInfo> processes{process(9, 8), process(8, 5), process(5, 1),
                                                    process(6, 1), process(1, 9), process(5, 5)};
  EXPECT_EQ(tree_usage(processes, 5).rss_kib, 5U);  // in a circle, each once
  EXPECT_EQ(tree_usage(processes, 77).cpu_ms, 0U);
}

class WorkloadsTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    options_.workload_figures_every = 5ms;
    options_.workload_stop_grace = 20ms;
    open();
    listen();
    ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  }
  void listen() {
    manager_->on_event([this](const Event& event) {
      const std::string name(event_name(event.kind));
      if (name.find("workload") == 0) events_.push_back(name);
    });
  }
  Workloads& workloads() { return manager_->workloads(); }
  static WorkloadSpec command(std::vector<std::string> argv, const std::string& name = "") {
    WorkloadSpec spec;
    spec.name = name;
    spec.argv = std::move(argv);
    spec.restart_delay = 1ms;
    return spec;
  }
  bool is(const std::string& id, WorkloadState state) {
    const auto workload = workloads().get("box", id);
    return workload && workload->state == state;
  }
  std::vector<std::string> events_;
};

TEST_F(WorkloadsTest, a_workload_runs_to_its_end_and_its_lines_are_kept) {
  const auto made = run(workloads().create("box", command({"print", "one\ntwo"}, "app"))).value();
  EXPECT_EQ(made.id.substr(0, 3), "wl_");
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::exited); }));
  EXPECT_EQ(workloads().get("box", made.id).value().exit_code, 0);
  const auto lines = workloads().logs("box", "app", 0).value();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[1].text, "two");
  const auto text = format_line(lines[0]);
  EXPECT_EQ(text.substr(0, 1), "[");
  EXPECT_NE(text.find("Z] stdout: one"), std::string::npos);
  EXPECT_EQ(workloads().logs("box", "app", 1).value().at(0).text, "two");
  EXPECT_EQ(events_, (std::vector<std::string>{"workload_started", "workload_exited"}));
}

TEST_F(WorkloadsTest, bad_wishes_name_their_field) {
  EXPECT_EQ(run(workloads().create("nowhere", command({"sleep"}))).error().code, Code::NotFound);
  const auto refused = [&](WorkloadSpec spec, const std::string& id = "") {
    const auto made = run(workloads().create("box", std::move(spec), id));
    return made ? std::string("made") : made.error().message;
  };
  EXPECT_NE(refused(command({})).find("/cmd"), std::string::npos);
  EXPECT_NE(refused(command({"x"}, "a/b")).find("/name"), std::string::npos);
  EXPECT_NE(refused(command({"x"}), "no spaces").find("/id"), std::string::npos);
  auto spec = command({"x"});
  spec.restart_backoff = 0.5;
  EXPECT_NE(refused(spec).find("/restart_backoff"), std::string::npos);
  spec = command({"x"});
  spec.max_log_size_mb = 1000;
  EXPECT_NE(refused(spec).find("/max_log_size_mb"), std::string::npos);
  EXPECT_TRUE(workloads().list("box").value().empty());
}

TEST_F(WorkloadsTest, names_and_given_ids_are_taken_once) {
  ASSERT_TRUE(run(workloads().create("box", command({"sleep"}, "app"), "my-id")));
  EXPECT_EQ(run(workloads().create("box", command({"sleep"}, "app"))).error().code, Code::AlreadyExists);
  EXPECT_EQ(run(workloads().create("box", command({"sleep"}), "my-id")).error().code, Code::AlreadyExists);
  ASSERT_TRUE(run(workloads().remove("box", "app")));
  EXPECT_EQ(workloads().get("box", "my-id").error().code, Code::NotFound);
  EXPECT_TRUE(run(workloads().create("box", command({"sleep"}, "app"), "my-id")));
}

TEST_F(WorkloadsTest, one_that_is_changed_while_it_is_removed_does_not_come_back_and_two_changes_are_both_made) {
  ASSERT_TRUE(run(workloads().create("box", command({"sleep"}, "app"))));
  WorkloadChange name, folder;
  name.name = "other";
  folder.working_dir = "/srv";
  const auto one = begin(workloads().update("box", "app", name));
  const auto two = begin(workloads().update("box", workloads().list("box").value().at(0).id, folder));
  ASSERT_TRUE(finish(one) && finish(two));
  const auto both = workloads().get("box", "other").value();
  EXPECT_EQ(both.spec.working_dir, "/srv");
  const auto removed = begin(workloads().remove("box", "other"));
  const auto changed = begin(workloads().update("box", "other", name));
  EXPECT_TRUE(finish(removed));
  EXPECT_EQ(finish(changed).error().code, Code::NotFound);
  close(Manager::Permanent::keep_running);
  open();
  ASSERT_TRUE(run(manager_->reconcile()));
  EXPECT_TRUE(workloads().list("box").value().empty());
}

TEST_F(WorkloadsTest, one_that_fails_is_started_again_as_often_as_it_may) {
  auto spec = command({"fail"}, "app");
  spec.restart_policy = RestartPolicy::on_failure;
  spec.max_restarts = 3;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::failed); }));
  const auto ended = workloads().get("box", "app").value();
  EXPECT_EQ(ended.restart_count, 3U);
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_EQ(events_.size(), 8U);  // four starts and as many failures
}

TEST_F(WorkloadsTest, one_that_ends_well_is_started_again_only_when_always_said) {
  auto spec = command({"print", "x"}, "once");
  spec.restart_policy = RestartPolicy::on_failure;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  spec.name = "always";
  spec.restart_policy = RestartPolicy::always;
  spec.restart_backoff = 1;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  EXPECT_TRUE(until([&] { return workloads().get("box", "always").value().restart_count >= 3; }));
  EXPECT_EQ(workloads().get("box", "once").value().restart_count, 0U);
  EXPECT_EQ(run(workloads().stop("box", "always")).value().state, WorkloadState::stopped);
  const auto count = workloads().get("box", "always").value().restart_count;
  EXPECT_FALSE(until([&] { return workloads().get("box", "always").value().restart_count > count; }, 30ms));
}

TEST_F(WorkloadsTest, the_end_of_a_workload_can_be_its_workspaces_end) {
  const auto ending = [](VmOnExit what) {
    auto spec = command({"print", "done"}, "main");
    spec.vm_on_exit = what;
    return spec;
  };
  ASSERT_TRUE(run(workloads().create("box", ending(VmOnExit::pause))));
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::paused; }));
  ASSERT_TRUE(run(manager_->resume("box")));
  ASSERT_TRUE(run(workloads().remove("box", "main")));
  ASSERT_TRUE(run(workloads().create("box", ending(VmOnExit::exit))));
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopped; }));

  ASSERT_TRUE(run(manager_->create(spec("brief"))));
  ASSERT_TRUE(run(workloads().create("brief", ending(VmOnExit::stop))));
  ASSERT_TRUE(until([&] { return manager_->get("brief").value().state == State::stopped; })) << "its disk is kept";
  ASSERT_TRUE(run(manager_->create(spec("gone"))));
  ASSERT_TRUE(run(workloads().create("gone", ending(VmOnExit::exit))));
  ASSERT_TRUE(until([&] { return !manager_->get("gone"); }));
  auto remove = spec("removed", Mode::permanent);
  remove.on_exit = model::OnExit::remove;
  ASSERT_TRUE(run(manager_->create(remove)));
  ASSERT_TRUE(run(workloads().create("removed", ending(VmOnExit::exit))));
  ASSERT_TRUE(until([&] { return !manager_->get("removed"); }));
}

TEST_F(WorkloadsTest, only_the_last_end_of_a_workload_counts_for_its_workspace) {
  auto spec = command({"fail"}, "app");
  spec.restart_policy = RestartPolicy::on_failure;
  spec.max_restarts = 2;
  spec.vm_on_exit = VmOnExit::stop;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopped; }));
  EXPECT_EQ(std::count(events_.begin(), events_.end(), "workload_started"), 3);
}

TEST_F(WorkloadsTest, what_the_workspaces_own_command_prints_is_in_its_log) {
  auto spec = command({"print", "hello"}, "cmd");
  spec.origin = Origin::config;
  spec.keep_output = KeepOutput::yes;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  ASSERT_TRUE(until([&] { return is("cmd", WorkloadState::exited); }));
  EXPECT_EQ(run(manager_->logs("box", LogSource::cmd, 0)).value().at(0).message, "hello");
}

TEST_F(WorkloadsTest, a_workload_is_stopped_and_started) {
  auto spec = command({"sleep"}, "app");
  spec.restart_policy = RestartPolicy::always;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::running); }));
  EXPECT_EQ(workloads().get("box", "app").value().guest_pid, FakeMachine::kPid);
  EXPECT_EQ(run(workloads().stop("box", "app")).value().state, WorkloadState::stopped);
  EXPECT_EQ(run(workloads().stop("box", "app")).value().state, WorkloadState::stopped);
  ASSERT_TRUE(run(workloads().start("box", "app")));
  EXPECT_TRUE(until([&] { return is("app", WorkloadState::running); }));
}

TEST_F(WorkloadsTest, one_that_is_not_enabled_waits_for_somebody) {
  auto spec = command({"sleep"}, "app");
  spec.enabled = false;
  EXPECT_EQ(run(workloads().create("box", spec)).value().state, WorkloadState::stopped);
  ASSERT_TRUE(run(workloads().start("box", "app")));
  EXPECT_TRUE(until([&] { return is("app", WorkloadState::running); }));
}

TEST_F(WorkloadsTest, workloads_end_and_begin_with_their_workspace) {
  ASSERT_TRUE(run(workloads().create("box", command({"sleep"}, "app"))));
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::running); }));
  ASSERT_TRUE(run(manager_->stop("box")));
  EXPECT_TRUE(until([&] { return is("app", WorkloadState::pending); }));
  EXPECT_EQ(run(workloads().start("box", "app")).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(run(manager_->start("box")));
  EXPECT_TRUE(until([&] { return is("app", WorkloadState::running); }));
}

TEST_F(WorkloadsTest, workloads_survive_the_daemon_and_go_with_their_workspace) {
  auto spec = command({"sleep"}, "app");
  spec.env = {"A=b"};
  spec.labels = {{"k", "v"}};
  spec.restart_policy = RestartPolicy::always;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  WorkloadChange change;
  change.max_restarts = 7;
  change.name = "renamed";
  ASSERT_TRUE(run(workloads().update("box", "app", change)));
  close(Manager::Permanent::keep_running);
  open();
  ASSERT_TRUE(run(manager_->reconcile()));
  const auto found = workloads().get("box", "renamed").value();
  EXPECT_EQ(found.spec.env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(found.spec.labels, (Labels{{"k", "v"}}));
  EXPECT_EQ(found.spec.max_restarts, 7U);
  EXPECT_EQ(found.spec.restart_policy, RestartPolicy::always);
  EXPECT_TRUE(until([&] { return is("renamed", WorkloadState::running); }));
  ASSERT_TRUE(run(manager_->remove("box")));
  EXPECT_EQ(workloads().get("box", "renamed").error().code, Code::NotFound);
  auto count = [](store::Connection& connection) { return connection.query("SELECT 1 FROM workloads"); };
  EXPECT_TRUE(database_->run_now(count).value().empty());
}

TEST_F(WorkloadsTest, followers_get_lines_and_figures_until_the_end) {
  auto spec = command({"sleep"}, "app");
  spec.enabled = false;
  ASSERT_TRUE(run(workloads().create("box", spec)));
  auto figures = workloads().follow_stats("box", "").value();
  ASSERT_TRUE(run(workloads().start("box", "app")));
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::running); }));
  for (;;) {
    const auto news = run(figures->next()).value().value();
    ASSERT_EQ(news.size(), 1U);
    if (news[0].state != WorkloadState::running) continue;
    EXPECT_EQ(news[0].rss_bytes, 102'400U);
    break;
  }
  EXPECT_EQ(run(workloads().stats("box", "app")).value().cpu_ms, 40U);

  ASSERT_TRUE(run(workloads().create("box", command({"print", "line"}, "talker"))));
  auto lines = workloads().follow_logs("box", "talker").value();
  EXPECT_EQ(run(lines->next()).value()->text, "line");
  ASSERT_TRUE(run(workloads().remove_all("box")));
  EXPECT_FALSE(run(lines->next()).value());
  EXPECT_TRUE(workloads().list("box").value().empty());
}

TEST_F(WorkloadsTest, the_lines_that_are_kept_are_bounded) {
  std::string much;
  for (int i = 0; i < 1040; ++i) much += std::string(1000, 'x') + "\n";
  ASSERT_TRUE(run(workloads().create("box", command({"print", much}, "app"))));
  ASSERT_TRUE(until([&] { return is("app", WorkloadState::exited); }));
  std::size_t bytes = 0;
  const auto all_lines = workloads().logs("box", "app", 0).value();
  for (const auto& line : all_lines) bytes += line.text.size();
  EXPECT_LE(bytes, 1U << 20);
  EXPECT_GT(bytes, 900'000U);
}

}  // namespace
}  // namespace cofferdam::workspace

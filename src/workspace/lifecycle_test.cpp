// What a workspace can be told beyond start and stop, and what happens to it with time.
#include "crypto/aead.h"
#include "crypto/random.h"
#include "workspace/journal.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;

class LifecycleTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    options_.restarts.first = 1ms;
    options_.restarts.longest = 4ms;
    open();
    listen();
  }
  void listen() {
    manager_->on_event([this](const Event& event) { events_.emplace_back(event_name(event.kind)); });
  }
  void reopen(Manager::Permanent permanent) {
    close(permanent);
    open();
    listen();
    ASSERT_TRUE(run(manager_->reconcile()));
  }
  bool is(const std::string& id, State state) {
    const auto info = manager_->get(id);
    return info && info->state == state;
  }
  // A state is seen before it is told.
  void expect_events(const std::vector<std::string>& wanted) {
    EXPECT_TRUE(until([&] { return events_.size() >= wanted.size(); }));
    EXPECT_EQ(events_, wanted);
  }
  std::string output_of(const std::string& id, std::vector<std::string> argv, KeepOutput keep = KeepOutput::no) {
    model::ExecSpec command;
    command.argv = std::move(argv);
    auto process = run(manager_->exec(id, command, AfterExec::keep, keep));
    if (!process) return "error: " + process.error().message;
    std::string all;
    for (;;) {
      auto next = run((*process)->read());
      if (!next || !*next) return all;
      all += (*next)->bytes;
    }
  }
  std::vector<std::string> log(const std::string& id, LogSource source = LogSource::boot) {
    std::vector<std::string> lines;
    const auto all_lines = run(manager_->logs(id, source, 0)).value();
    for (const auto& line : all_lines) lines.push_back(line.message);
    return lines;
  }
  std::vector<std::string> events_;
};

TEST_F(LifecycleTest, a_paused_workspace_stands_still_until_it_is_resumed) {
  const auto made = run(manager_->create(spec("box"))).value();
  EXPECT_EQ(run(manager_->pause("box")).value().state, State::paused);
  EXPECT_TRUE(fake(made.vm_id)->paused());
  EXPECT_EQ(run(manager_->wake_machine("box")).error().code, Code::FailedPrecondition);
  EXPECT_EQ(output_of("box", {"print", "x"}).substr(0, 5), "error");
  EXPECT_EQ(run(manager_->resume("box")).value().state, State::running);
  EXPECT_FALSE(fake(made.vm_id)->paused());
  EXPECT_EQ(run(manager_->resume("box")).value().state, State::running);
  expect_events({"created", "paused", "resumed"});
}

TEST_F(LifecycleTest, a_suspended_workspace_wakes_for_whoever_needs_its_machine) {
  const auto made = run(manager_->create(spec("box"))).value();
  EXPECT_EQ(run(manager_->suspend("box")).value().state, State::suspended);
  EXPECT_EQ(manager_->machine("box").error().code, Code::FailedPrecondition);
  auto first = begin(manager_->wake_machine("box"));
  auto second = begin(manager_->wake_machine("box"));
  const auto woken = finish(first).value();
  EXPECT_NE(woken->id(), made.vm_id);
  EXPECT_EQ(finish(second).value(), woken);
  expect_events({"created", "suspended", "woken"});
  ASSERT_TRUE(run(manager_->suspend("box")));
  EXPECT_EQ(output_of("box", {"print", "x"}), "x");
}

TEST_F(LifecycleTest, what_stands_still_can_be_stopped_and_removed) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  ASSERT_TRUE(run(manager_->pause("box")));
  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  EXPECT_EQ(run(manager_->pause("box")).error().code, Code::FailedPrecondition);
  EXPECT_EQ(run(manager_->resume("box")).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(run(manager_->start("box")));
  ASSERT_TRUE(run(manager_->suspend("box")));
  ASSERT_TRUE(run(manager_->remove("box")));
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(LifecycleTest, a_paused_workspace_is_still_paused_after_the_daemon_was_started_again) {
  const auto made = run(manager_->create(spec("box", Mode::permanent))).value();
  ASSERT_TRUE(run(manager_->pause("box")));
  reopen(Manager::Permanent::keep_running);
  EXPECT_TRUE(is("box", State::paused));
  EXPECT_TRUE(fake(made.vm_id)->paused());
  EXPECT_TRUE(run(manager_->resume("box")));
}

TEST_F(LifecycleTest, a_restart_keeps_the_disk_even_of_a_temporary_one) {
  const auto made = run(manager_->create(spec("box"))).value();
  ASSERT_EQ(::pwrite(fake(made.vm_id)->spec().disk.get(), "kept", 4, 32 << 20), 4);
  const auto again = run(manager_->restart("box")).value();
  EXPECT_NE(again.vm_id, made.vm_id);
  char seen[4];
  ASSERT_EQ(::pread(fake(again.vm_id)->spec().disk.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
  EXPECT_EQ(driver_.alive.size(), 1U);
}

TEST_F(LifecycleTest, idleness_suspends_then_stops) {
  auto wanted = spec("box", Mode::permanent);
  wanted.idle = model::IdlePolicy{1000ms, 1100ms};
  ASSERT_TRUE(run(manager_->create(wanted)));
  EXPECT_TRUE(until([&] { return is("box", State::stopped); }));
  expect_events({"created", "suspended", "stopped"});
}

TEST_F(LifecycleTest, a_command_that_runs_is_no_idleness) {
  auto wanted = spec("box");
  wanted.idle = model::IdlePolicy{1000ms, {}};
  ASSERT_TRUE(run(manager_->create(wanted)));
  model::ExecSpec command;
  command.argv = {"sleep"};
  command.timeout = 0ms;
  auto process = run(manager_->exec("box", command)).value();
  EXPECT_FALSE(until([&] { return is("box", State::suspended); }, 1300ms));
  process.reset();
  EXPECT_TRUE(until([&] { return is("box", State::suspended); }));
}

TEST_F(LifecycleTest, whoever_holds_its_machine_uses_it) {
  auto wanted = spec("box");
  wanted.idle = model::IdlePolicy{1000ms, {}};
  ASSERT_TRUE(run(manager_->create(wanted)));
  auto used = run(manager_->wake_machine("box")).value();
  EXPECT_EQ(used, manager_->machine("box").value());
  EXPECT_FALSE(until([&] { return is("box", State::suspended); }, 1300ms));
  used.reset();
  EXPECT_TRUE(until([&] { return is("box", State::suspended); }));
}

TEST_F(LifecycleTest, an_idle_policy_can_be_given_and_taken_away) {
  ASSERT_TRUE(run(manager_->create(spec("box"))));
  EXPECT_EQ(run(manager_->set_idle("box", model::IdlePolicy{})).error().code, Code::InvalidArgument);
  EXPECT_EQ(run(manager_->set_idle("box", model::IdlePolicy{2s, {}})).value().spec.idle->suspend_after, 2s);
  EXPECT_FALSE(run(manager_->set_idle("box", std::nullopt)).value().spec.idle);
}

TEST_F(LifecycleTest, the_end_of_the_time_to_live_can_be_a_rest) {
  auto wanted = spec("box");
  wanted.ttl = 1s;
  wanted.ttl_action = model::TtlAction::suspend;
  const auto made = run(manager_->create(wanted)).value();
  // The jail's end comes later.
  EXPECT_GT(*fake(made.vm_id)->claimed()->ttl, 1s);
  EXPECT_TRUE(until([&] { return is("box", State::suspended); }));
  EXPECT_FALSE(manager_->get("box").value().expires_at);
  expect_events({"created", "ttl_expired", "suspended"});
  ASSERT_TRUE(run(manager_->wake_machine("box")));
  EXPECT_TRUE(manager_->get("box").value().expires_at);
}

TEST_F(LifecycleTest, the_end_of_the_time_to_live_can_be_a_stop_also_of_a_temporary_one) {
  auto wanted = spec("box");
  wanted.ttl = 1s;
  wanted.ttl_action = model::TtlAction::stop;
  ASSERT_TRUE(run(manager_->create(wanted)));
  EXPECT_TRUE(until([&] { return is("box", State::stopped); }));
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
}

TEST_F(LifecycleTest, a_permanent_workspace_may_be_removed_at_the_end_of_its_time) {
  auto wanted = spec("box", Mode::permanent);
  wanted.ttl = 1s;
  wanted.ttl_action = model::TtlAction::remove;
  ASSERT_TRUE(run(manager_->create(wanted)));
  EXPECT_TRUE(until([&] { return folders().empty(); }));
  expect_events({"created", "ttl_expired", "removed"});
}

TEST_F(LifecycleTest, a_ping_begins_the_time_anew) {
  const auto made = run(manager_->create(spec("box"))).value();
  const auto pinged = run(manager_->ping("box", std::nullopt)).value();
  EXPECT_GE(*pinged.expires_at, *made.expires_at);
  EXPECT_GE(pinged.last_active_at, made.last_active_at);
  const auto longer = run(manager_->ping("box", 3h)).value();
  EXPECT_GT(*longer.expires_at, *made.expires_at + 1h);
  EXPECT_EQ(longer.spec.ttl, 3h);
  EXPECT_EQ(run(manager_->ping("box", 1ms)).error().code, Code::InvalidArgument);
}

TEST_F(LifecycleTest, a_workspace_whose_machine_dies_is_started_again_as_often_as_it_may) {
  auto wanted = spec("box", Mode::permanent);
  wanted.restart_policy = model::RestartPolicy::on_failure;
  wanted.max_restarts = 2;
  auto info = run(manager_->create(wanted)).value();
  for (std::uint32_t i = 1; i <= 2; ++i) {
    fake(info.vm_id)->die(vm::ExitReason::vmm_died, "segfault");
    ASSERT_TRUE(until([&] { return is("box", State::running) && manager_->get("box").value().restarts == i; }));
    info = manager_->get("box").value();
  }
  fake(info.vm_id)->die(vm::ExitReason::vmm_died, "segfault");
  ASSERT_TRUE(until([&] { return is("box", State::stopped); }));
  EXPECT_FALSE(until([&] { return is("box", State::running); }, 50ms));
  expect_events({"created", "failed", "started", "failed", "started", "failed"});
}

TEST_F(LifecycleTest, one_that_was_stopped_is_not_started_by_its_policy) {
  options_.restarts.first = 100ms;
  options_.restarts.longest = 100ms;
  reopen(Manager::Permanent::stop);
  auto wanted = spec("box", Mode::permanent);
  wanted.restart_policy = model::RestartPolicy::always;
  const auto info = run(manager_->create(wanted)).value();
  fake(info.vm_id)->die(vm::ExitReason::vmm_died);
  ASSERT_TRUE(until([&] { return is("box", State::stopped); }));
  ASSERT_TRUE(run(manager_->stop("box")));
  EXPECT_FALSE(until([&] { return is("box", State::running); }, 200ms));
}

TEST_F(LifecycleTest, one_that_is_to_go_at_its_exit_is_gone_after_a_stop) {
  auto wanted = spec("box", Mode::permanent);
  wanted.on_exit = model::OnExit::remove;
  ASSERT_TRUE(run(manager_->create(wanted)));
  EXPECT_EQ(run(manager_->stop("box")).value().state, State::stopped);
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(folders().empty());
}

TEST_F(LifecycleTest, a_temporary_workspace_becomes_permanent_and_keeps_its_disk) {
  const auto made = run(manager_->create(spec("box"))).value();
  ASSERT_EQ(::pwrite(fake(made.vm_id)->spec().disk.get(), "kept", 4, 32 << 20), 4);
  const auto permanent = run(manager_->make_permanent("box", model::RestartPolicy::always)).value();
  EXPECT_EQ(permanent.spec.mode, Mode::permanent);
  EXPECT_EQ(permanent.spec.restart_policy, model::RestartPolicy::always);
  EXPECT_FALSE(permanent.expires_at);
  EXPECT_EQ(permanent.vm_id, made.vm_id);
  ASSERT_TRUE(run(manager_->stop("box")));
  const auto again = run(manager_->start("box")).value();
  char seen[4];
  ASSERT_EQ(::pread(fake(again.vm_id)->spec().disk.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
}

TEST_F(LifecycleTest, a_permanent_workspace_becomes_temporary_and_ends) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  const auto temporary = run(manager_->make_temporary("box", 1s, std::nullopt, model::OnExit::keep)).value();
  EXPECT_EQ(temporary.spec.mode, Mode::temporary);
  EXPECT_TRUE(temporary.expires_at);
  EXPECT_TRUE(until([&] { return folders().empty(); }));
}

TEST_F(LifecycleTest, names_slugs_and_notes_change_and_are_found_after_a_restart) {
  const auto made = run(manager_->create(spec("box", Mode::permanent))).value();
  ASSERT_TRUE(run(manager_->create(spec("other", Mode::permanent))));
  EXPECT_EQ(run(manager_->update("box", {"other", {}, {}})).error().code, Code::AlreadyExists);
  EXPECT_EQ(run(manager_->update("box", {{}, "Not A Slug", {}})).error().code, Code::InvalidArgument);
  ASSERT_TRUE(run(manager_->update("box", {"case", "my-case", "logo.png"})));
  ASSERT_TRUE(run(manager_->update("my-case", {{}, "my-case", {}})));  // its own is not taken
  EXPECT_EQ(run(manager_->update("other", {{}, "my-case", {}})).error().code, Code::AlreadyExists);
  ASSERT_TRUE(run(manager_->set_metadata("case", {{"a", "1"}, {"b", "2"}}, MetadataChange::replace)));
  ASSERT_TRUE(run(manager_->set_metadata("case", {{"b", "3"}, {"a", ""}, {"c", "4"}}, MetadataChange::merge)));
  EXPECT_EQ(run(manager_->set_metadata("case", {{"", "x"}}, MetadataChange::merge)).error().code,
            Code::InvalidArgument);
  reopen(Manager::Permanent::stop);
  const auto found = manager_->get("my-case").value();
  EXPECT_EQ(found.id, made.id);
  EXPECT_EQ(found.spec.name, "case");
  EXPECT_EQ(found.spec.logo, "logo.png");
  EXPECT_EQ(found.spec.metadata, (model::Metadata{{"b", "3"}, {"c", "4"}}));
  EXPECT_EQ(run(manager_->update("my-case", {{}, "", {}})).value().spec.slug, "");
}

TEST_F(LifecycleTest, a_resize_waits_for_the_next_start) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  Resources larger;
  larger.memory_mib = 512;
  larger.disk_mib = 128;
  const auto planned = run(manager_->resize("box", larger, Apply::at_next_start)).value();
  EXPECT_FALSE(planned.relaunched);
  EXPECT_EQ(planned.info.spec.memory_mib, 256U);
  EXPECT_EQ(planned.info.pending->memory_mib, 512U);
  const auto again = run(manager_->restart("box")).value();
  EXPECT_EQ(again.spec.memory_mib, 512U);
  EXPECT_EQ(again.spec.disk_mib, 128U);
  EXPECT_FALSE(again.pending);
  EXPECT_EQ(fake(again.vm_id)->spec().shape.memory_mib, 512U);
  EXPECT_EQ(fake(again.vm_id)->spec().disk_bytes, 128U << 20);
  Resources smaller;
  smaller.disk_mib = 64;
  EXPECT_EQ(run(manager_->resize("box", smaller, Apply::now)).error().code, Code::FailedPrecondition);
  Resources absurd;
  absurd.cpu_millis = 1;
  EXPECT_EQ(run(manager_->resize("box", absurd, Apply::now)).error().code, Code::InvalidArgument);
}

TEST_F(LifecycleTest, a_resize_that_is_applied_relaunches_on_the_same_disk) {
  const auto made = run(manager_->create(spec("box"))).value();
  ASSERT_EQ(::pwrite(fake(made.vm_id)->spec().disk.get(), "kept", 4, 32 << 20), 4);
  Resources wish;
  wish.cpu_millis = 2000;
  const auto resized = run(manager_->resize("box", wish, Apply::now)).value();
  EXPECT_TRUE(resized.relaunched);
  EXPECT_EQ(fake(resized.info.vm_id)->spec().shape.vcpus, 2U);
  char seen[4];
  ASSERT_EQ(::pread(fake(resized.info.vm_id)->spec().disk.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
}

TEST_F(LifecycleTest, the_same_key_answers_the_same_workspace) {
  driver_.create_takes = 20ms;
  auto first = begin(manager_->create(spec("", Mode::permanent), "key"));
  auto second = begin(manager_->create(spec("", Mode::permanent), "key"));
  const auto id = finish(first).value().id;
  EXPECT_EQ(finish(second).value().id, id);
  auto elsewhere = spec("", Mode::permanent);
  elsewhere.namespace_id = "ns_other";
  EXPECT_NE(run(manager_->create(elsewhere, "key")).value().id, id);
  EXPECT_NE(run(manager_->create(spec(), "")).value().id, id);
  reopen(Manager::Permanent::stop);
  EXPECT_EQ(run(manager_->create(spec("another name"), "key")).value().id, id);
  ASSERT_TRUE(run(manager_->remove(id)));
  EXPECT_NE(run(manager_->create(spec(), "key")).value().id, id);
}

TEST_F(LifecycleTest, a_key_whose_first_create_failed_is_tried_again_by_the_second) {
  driver_.creates_that_fail = 1;
  auto first = begin(manager_->create(spec(), "key"));
  auto second = begin(manager_->create(spec(), "key"));
  EXPECT_FALSE(finish(first));
  EXPECT_TRUE(finish(second));
  EXPECT_EQ(manager_->list().size(), 1U);
}

TEST_F(LifecycleTest, the_totals_of_a_namespace_are_asked_before_anything_is_made) {
  close(Manager::Permanent::stop);
  options_.admit = [](std::string space, identity::Totals in_use, identity::Totals wish) -> Task<void> {
    identity::ResourceLimits limits;
    limits.max_ram_mb = 600;
    if (space != "ns_small") limits = {};
    co_return identity::admit(limits, in_use, wish);
  };
  open();
  auto wanted = spec("a", Mode::permanent);
  wanted.namespace_id = "ns_small";
  auto first = begin(manager_->create(wanted));
  wanted.name = "b";
  auto second = begin(manager_->create(wanted));
  wanted.name = "c";
  auto third = begin(manager_->create(wanted));
  EXPECT_TRUE(finish(first));
  EXPECT_TRUE(finish(second));
  EXPECT_EQ(finish(third).error().code, Code::ResourceExhausted);
  EXPECT_EQ(driver_.created, 2);
  EXPECT_EQ(manager_->usage_of("ns_small").memory_mib, 512U);
  EXPECT_EQ(manager_->usage_of("ns_small").workspaces, 2U);
  EXPECT_TRUE(run(manager_->create(spec())));
  Resources larger;
  larger.memory_mib = 512;
  EXPECT_EQ(run(manager_->resize("a", larger, Apply::at_next_start)).error().code, Code::ResourceExhausted);
  EXPECT_FALSE(manager_->get("a").value().pending);
}

TEST_F(LifecycleTest, secrets_go_into_the_environment_of_commands_and_nowhere_else) {
  auto wanted = spec("box");
  wanted.env = {"A=1"};
  wanted.secrets = {"API_KEY"};
  EXPECT_EQ(run(manager_->create(wanted)).error().code, Code::FailedPrecondition);
  close(Manager::Permanent::stop);
  options_.reveal_secrets =
      [](std::string, std::vector<std::string> names) -> Task<std::vector<std::pair<std::string, SecureBytes>>> {
    std::vector<std::pair<std::string, SecureBytes>> values;
    for (auto& name : names) values.emplace_back(std::move(name), SecureBytes::copy_of("hunter2"));
    co_return values;
  };
  open();
  ASSERT_TRUE(run(manager_->create(wanted)));
  EXPECT_EQ(output_of("box", {"env"}), "/home|user|PATH=/bin|LANG=C|A=1|API_KEY=hunter2");
  const auto told = manager_->get("box").value();
  for (const auto& item : told.spec.env) EXPECT_EQ(item.find("hunter2"), std::string::npos);
}

TEST_F(LifecycleTest, the_log_tells_the_life_and_the_kept_output_also_to_the_next_daemon) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  auto feed = manager_->follow_logs("box", LogSource::cmd).value();
  EXPECT_EQ(output_of("box", {"print", "secret\n"}), "secret\n");
  EXPECT_EQ(output_of("box", {"print", "one\ntwo\n"}, KeepOutput::yes), "one\ntwo\n");
  EXPECT_EQ(log("box", LogSource::cmd), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(run(feed->next()).value()->message, "one");
  // What the guest's kernel said at its boot is in it, once.
  const std::vector<std::string> kernel{"[    0.000000] Linux version 6.1", "[    0.100000] a\tline"};
  EXPECT_EQ(log("box"), (std::vector<std::string>{"created", kernel[0], kernel[1]}));
  EXPECT_EQ(log("box").size(), 3U);
  reopen(Manager::Permanent::stop);
  EXPECT_EQ(log("box"), (std::vector<std::string>{"created", kernel[0], kernel[1], "stopped"}));
  EXPECT_EQ(log("box", LogSource::cmd), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(run(manager_->logs("box", LogSource::cmd, 1)).value().size(), 1U);
  ASSERT_TRUE(run(manager_->clear_logs("box")));
  EXPECT_TRUE(log("box").empty());
  ASSERT_TRUE(run(manager_->remove("box")));
  EXPECT_TRUE(folders().empty());
}

TEST_F(LifecycleTest, a_removal_destroys_the_keys_first_and_then_waits_for_what_is_slow) {
  for (const auto mode : {Mode::permanent, Mode::temporary}) {
    const auto made = run(manager_->create(spec("box", mode))).value();
    driver_.destroy_takes = 50ms;
    auto removal = begin(manager_->remove("box"));
    ASSERT_TRUE(until([&] { return !driver_.killed.empty() && keys_->list(made.id).value().empty(); }));
    EXPECT_FALSE(removal->has_value());
    EXPECT_TRUE(driver_.destroyed.empty());
    const auto removed = finish(removal).value();
    EXPECT_EQ(driver_.destroyed, std::vector<std::string>{made.vm_id});
    EXPECT_EQ(driver_.killed, driver_.destroyed);
    EXPECT_LT(removed.keys_gone_us, removed.took_us);
    EXPECT_FALSE(removed.receipt_id.empty());
    driver_.killed.clear();
    driver_.destroyed.clear();
    EXPECT_TRUE(folders().empty());
  }
}

TEST_F(LifecycleTest, followers_of_a_log_hear_of_its_end) {
  ASSERT_TRUE(run(manager_->create(spec("box"))));
  auto feed = manager_->follow_logs("box", LogSource::boot).value();
  ASSERT_TRUE(run(manager_->remove("box")));
  EXPECT_EQ(run(feed->next()).value()->message, "removed");
  EXPECT_FALSE(run(feed->next()).value());
}

TEST(Journal, a_log_is_bounded_in_memory_and_on_the_disk) {
  std::string folder = testing::TempDir() + "coffer-log-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  loop::asio::io_context io;
  Journal journal(io.get_executor());
  const auto key = crypto::random_secret(crypto::kAeadKeyBytes);
  for (int i = 0; i < 3000; ++i) {
    journal.add(LogSource::cmd, {std::chrono::system_clock::now(), std::string(1000, 'x')});
    if (i % 100 == 0) ASSERT_TRUE(append_log(folder, LogSource::cmd, journal.take_unwritten(LogSource::cmd), key));
  }
  EXPECT_LE(journal.tail(LogSource::cmd, 0).size(), 262U);
  EXPECT_EQ(journal.tail(LogSource::cmd, 3).size(), 3U);
  std::size_t on_disk = 0;
  const auto all_names = list_directory(folder).value();
  for (const auto& name : all_names) {
    on_disk += read_file(folder + "/" + name, 8U << 20).value().size();
  }
  EXPECT_LE(on_disk, 1U << 20);
  const auto back = read_log(folder, LogSource::cmd, key);
  EXPECT_GT(back.size(), 100U);
  EXPECT_EQ(back.back().message, std::string(1000, 'x'));
  EXPECT_EQ(read_file(log_path(folder, LogSource::cmd), 1U << 20).value().find("xxxxxxxx"), std::string::npos);
  const auto other = crypto::random_secret(crypto::kAeadKeyBytes);
  EXPECT_TRUE(read_log(folder, LogSource::cmd, other).empty());
  ASSERT_TRUE(remove_tree(folder));
}

TEST(LineSplitter, pieces_become_lines_and_long_ones_are_cut) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  const auto keep = [&](std::string line) { lines.push_back(std::move(line)); };
  splitter.add("a", keep);
  splitter.add("b\n\nc", keep);
  splitter.finish(keep);
  EXPECT_EQ(lines, (std::vector<std::string>{"ab", "", "c"}));
  lines.clear();
  splitter.add(std::string(40'000, 'x'), keep);
  splitter.finish(keep);
  EXPECT_EQ(lines.size(), 3U);
}

TEST(Feed, a_slow_reader_misses_the_oldest) {
  loop::asio::io_context io;
  Feed<int> feed(io.get_executor(), 2);
  for (int i = 0; i < 5; ++i) feed.push(i);
  EXPECT_EQ(feed.missed(), 3U);
}

}  // namespace
}  // namespace cofferdam::workspace

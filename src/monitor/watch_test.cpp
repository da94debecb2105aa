// The watch over machines that are made up, with time by hand.
#include "monitor/watch.h"

#include "base/text.h"
#include "monitor/metrics_text.h"
#include "monitor/test_support.h"

namespace cofferdam::monitor {
namespace {

class FakeFiles final : public vm::GuestFiles {
 public:
  Task<vm::FileInfo> stat(std::string path) override {
    vm::FileInfo info;
    info.modified_ms = path == "/proc/77/exe" ? modified_ms : 0;
    ++asked;
    co_return info;
  }
  Task<vm::FileInfo> lstat(std::string /*path*/) override {
    vm::FileInfo info;
    info.symlink_target = "/tmp/a.out";
    co_return info;
  }
  Task<std::vector<vm::FileInfo>> list(std::string) override { co_return none(); }
  Task<std::string> read(std::string, std::uint64_t) override { co_return none(); }
  Task<std::unique_ptr<vm::GuestFileWriter>> create(std::string, std::uint32_t, vm::CreateParents,
                                                    std::string) override {
    co_return none();
  }
  Task<std::unique_ptr<vm::GuestFileWriter>> append(std::string, std::uint32_t, vm::CreateParents,
                                                    std::string) override {
    co_return none();
  }
  Task<std::unique_ptr<vm::GuestFileWriter>> place(vm::PlacedEntry) override { co_return none(); }
  Task<void> make_directory(std::string, std::uint32_t, vm::CreateParents, std::string) override { co_return none(); }
  Task<void> remove(std::string, vm::Recursive) override { co_return none(); }
  Task<void> rename(std::string, std::string) override { co_return none(); }
  Task<void> make_symlink(std::string, std::string, vm::CreateParents, std::string) override { co_return none(); }
  Task<void> set_mode(std::string, std::uint32_t) override { co_return none(); }
  Task<void> set_modified(std::string, std::int64_t) override { co_return none(); }
  Task<std::unique_ptr<vm::GuestWalk>> walk(std::string, vm::WalkOptions) override { co_return none(); }

  static tl::unexpected<Error> none() { return fail(Code::Unimplemented, "not in this test"); }
  std::int64_t modified_ms = 0;
  int asked = 0;
};

class FakeMachine final : public vm::Machine {
 public:
  explicit FakeMachine(std::string id) : id_(std::move(id)) {}
  [[nodiscard]] const std::string& id() const override { return id_; }
  Task<vm::Figures> figures() override {
    if (hangs) CO_TRY(co_await loop::sleep_for(1h));
    ++asked;
    co_return now;
  }
  std::optional<vm::Figures> figures_at_hand() override { return rests ? std::optional(now) : std::nullopt; }
  Task<std::vector<vm::GuestProcessInfo>> processes() override { co_return listed; }
  vm::GuestFiles& files() override { return guest_files; }
  Task<void> wake(std::string) override { co_return FakeFiles::none(); }
  Task<void> claim(vm::Claim) override { co_return FakeFiles::none(); }
  Task<void> set_ttl(std::optional<std::chrono::milliseconds>) override { co_return FakeFiles::none(); }
  Task<void> pause() override { co_return FakeFiles::none(); }
  Task<void> resume() override { co_return FakeFiles::none(); }
  Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec) override { co_return FakeFiles::none(); }
  Task<std::unique_ptr<vm::GuestWatch>> watch(vm::WatchSpec) override { co_return FakeFiles::none(); }
  Task<std::unique_ptr<vm::GuestConnection>> dial(std::uint16_t) override { co_return FakeFiles::none(); }
  Task<vm::GuestMetrics> guest_metrics() override { co_return guest; }
  Task<vm::HostMetrics> host_metrics() override { co_return FakeFiles::none(); }
  Task<std::string> kernel_log() override { co_return FakeFiles::none(); }
  Task<std::string> console() override { co_return FakeFiles::none(); }
  Task<vm::SavedMachine> save(vm::SaveWish) override { co_return FakeFiles::none(); }
  [[nodiscard]] Result<SecureBytes> disk_passphrase() const override { return FakeFiles::none(); }
  Task<void> shut_down(std::chrono::milliseconds) override { co_return FakeFiles::none(); }
  Task<void> kill() override { co_return FakeFiles::none(); }
  Task<void> destroy() override { co_return FakeFiles::none(); }
  Task<vm::MachineExit> wait_for_exit() override { co_return FakeFiles::none(); }
  [[nodiscard]] bool alive() const override { return true; }
  Task<void> configure_network(vm::GuestNetwork) override { co_return FakeFiles::none(); }
  [[nodiscard]] Result<UniqueFd> network_namespace() const override { return FakeFiles::none(); }

  vm::Figures now;
  std::vector<vm::GuestProcessInfo> listed;
  vm::GuestMetrics guest;
  FakeFiles guest_files;
  bool hangs = false, rests = false;
  int asked = 0;

 private:
  std::string id_;
};

class WatchTest : public HandDriven {
 protected:
  WatchTest() {
    for (const char* name : {"busy", "quiet"}) {
      Watched one;
      one.id = cat("ws_", name);
      one.name = name;
      one.namespace_id = "ns_1";
      one.cpu_millis = 2000;
      one.created_at = one.started_at = wall_;
      machines_[one.id] = std::make_shared<FakeMachine>(cat("vm_", name));
      one.machine = machines_[one.id];
      there_.push_back(std::move(one));
    }
  }
  ~WatchTest() override {
    if (watch_) EXPECT_TRUE(run(watch_->close()));
  }
  void open(const std::vector<std::string>& rules = {}) {
    if (watch_) EXPECT_TRUE(run(watch_->close()));
    WatchOptions options;
    options.clock = clock_;
    options.rules = Rules::parse(rules).value();
    options.list = [this] { return there_; };
    options.count = [this]() -> Task<std::vector<gate::CountersReply>> { co_return counters_; };
    options.follow = [this] { return flows_.open(io_.get_executor()); };
    options.namespace_slug = [](const std::string&) -> Task<std::string> { co_return std::string("team"); };
    options.every = 5ms;
    options.ask_every = options.write_every = 1h;
    watch_ = Watch::open(io_.get_executor(), *database_, *webhooks_, std::move(options)).value();
  }
  // Looks a second later.
  void look() {
    pass(1s);
    ASSERT_TRUE(run(watch_->look_at_all()));
  }
  FakeMachine& busy() { return *machines_.at("ws_busy"); }
  std::vector<std::string> alerts() {
    std::vector<std::string> found;
    for (const auto& alert : run(watch_->alerts().list({})).value())
      found.push_back(cat(alert.rule, " ", alert.workspace_id));
    return found;
  }

  std::vector<Watched> there_;
  std::map<std::string, std::shared_ptr<FakeMachine>> machines_;
  std::vector<gate::CountersReply> counters_;
  loop::Feeds<net::Flow> flows_;
  std::unique_ptr<Watch> watch_;
};

TEST_F(WatchTest, a_sample_is_what_came_since_the_one_before) {
  open();
  busy().now = {1000, 5, 4096, 10, 20};
  look();
  EXPECT_FALSE(watch_->sight("ws_busy")->latest);
  busy().now = {2000, 7, 8192, 110, 220};
  look();
  const auto seen = watch_->sight("ws_busy");
  ASSERT_TRUE(seen->latest);
  EXPECT_DOUBLE_EQ(seen->latest->cpu_percent, 50);  // one of its two CPUs
  EXPECT_EQ(seen->latest->memory_bytes, 7U);
  EXPECT_EQ(seen->latest->disk_read_bytes, 100U);
  EXPECT_EQ(seen->latest->disk_written_bytes, 200U);
  busy().now = {2000, 7, 12288, 110, 220};
  look();
  EXPECT_EQ(watch_->sight("ws_busy")->disk_growth_bytes_per_minute, 4096 * 60);
  EXPECT_EQ(watch_->history().seconds("ws_busy").size(), 2U);
}

TEST_F(WatchTest, what_was_written_before_the_first_look_is_growth_of_a_machine_that_has_just_begun) {
  there_[1].started_at = wall_ - 1h;
  there_.push_back(there_[1]);
  there_[2].id = "ws_later";  // by a clock that was set back since
  there_[2].started_at = wall_ + 1h;
  open({"disk_growth over=1000 within=60s"});
  watch_->alerts().start();
  for (auto& [id, machine] : machines_) machine->now = {1000, 5, 500'000, 10, 100'000};
  look();
  look();
  EXPECT_TRUE(becomes([&] { return alerts() == std::vector<std::string>{"disk_growth ws_busy"}; }));
}

TEST_F(WatchTest, a_machine_that_is_another_one_begins_anew) {
  open();
  busy().now.cpu_ms = 100'000;
  look();
  look();
  machines_["ws_busy"] = std::make_shared<FakeMachine>("vm_next");
  there_[0].machine = machines_["ws_busy"];
  busy().now.cpu_ms = 50;
  look();
  busy().now.cpu_ms = 60;
  look();
  EXPECT_EQ(watch_->sight("ws_busy")->latest->cpu_ms, 10U);
  there_[0].machine.reset();
  look();
  EXPECT_FALSE(watch_->sight("ws_busy")->latest);
}

TEST_F(WatchTest, one_that_rests_is_seen_and_not_asked) {
  open();
  look();
  busy().rests = true;
  const int asked = busy().asked;
  busy().now.memory_bytes = 7;
  look();
  busy().now.cpu_ms += 20;
  look();
  EXPECT_EQ(busy().asked, asked);
  EXPECT_EQ(watch_->sight("ws_busy")->latest->memory_bytes, 7U);
  EXPECT_EQ(watch_->sight("ws_busy")->latest->cpu_ms, 20U);
  EXPECT_EQ(watch_->history().seconds("ws_busy").size(), 2U);
  busy().rests = false;
  busy().now.disk_written_bytes = 4096;
  look();
  EXPECT_EQ(busy().asked, asked + 1);
  EXPECT_EQ(watch_->sight("ws_busy")->latest->disk_written_bytes, 4096U);
}

TEST_F(WatchTest, the_round_itself_asks_none_that_rest) {
  open();
  for (auto& [id, machine] : machines_) machine->rests = true;
  watch_->start();
  EXPECT_TRUE(becomes([&] { return pass(1s), watch_->history().seconds("ws_busy").size() > 5; }));
  for (auto& [id, machine] : machines_) EXPECT_EQ(machine->asked, 0) << id;
}

TEST_F(WatchTest, one_that_does_not_answer_holds_up_no_other) {
  open();
  machines_.at("ws_quiet")->hangs = true;
  watch_->start();
  EXPECT_TRUE(becomes([&] { return pass(1s), watch_->history().seconds("ws_busy").size() > 5; }));
  EXPECT_TRUE(watch_->history().seconds("ws_quiet").empty());
}

TEST_F(WatchTest, seconds_are_a_ring_and_minutes_and_hours_are_kept) {
  open();
  for (int i = 0; i < 400; ++i) {
    busy().now.cpu_ms += 500;
    look();
  }
  EXPECT_EQ(watch_->history().seconds("ws_busy").size(), History::kSeconds);
  const auto minutes = run(watch_->history().rolled_up("ws_busy", Span::minute, Time(), Time::max(), 100)).value();
  std::uint64_t cpu_ms = 0;
  for (const auto& minute : minutes) cpu_ms += minute.cpu_ms;
  EXPECT_EQ(cpu_ms, 399U * 500);
  EXPECT_EQ(minutes.at(1).samples, 60U);
  EXPECT_DOUBLE_EQ(minutes.at(1).cpu_peak_percent, 25);
  open();  // as after a restart
  const auto hours = run(watch_->history().rolled_up("ws_busy", Span::hour, Time(), Time::max(), 100)).value();
  ASSERT_EQ(hours.size(), 1U);
  EXPECT_EQ(hours[0].samples, 399U);
  EXPECT_EQ(run(watch_->history().rolled_up("ws_busy", Span::minute, Time(), Time::max(), 3))->size(), 3U);
  wall_ += History::kMinutesKept + 10min;
  look(), look();
  EXPECT_EQ(run(watch_->history().rolled_up("ws_busy", Span::minute, Time(), Time::max(), 100))->size(), 1U);
  ASSERT_TRUE(run(watch_->history().forget("ws_busy")));
  EXPECT_TRUE(run(watch_->history().rolled_up("ws_busy", Span::hour, Time(), Time::max(), 100))->empty());
}

TEST_F(WatchTest, a_clock_that_jumps_changes_no_sample) {
  open({"cpu over=90 for=5s"});
  look();
  for (int i = 0; i < 10; ++i) {
    wall_ += (i % 2 == 0 ? 1 : -1) * std::chrono::hours(24 * 365);
    busy().now.cpu_ms += 100;
    look();
    EXPECT_DOUBLE_EQ(watch_->sight("ws_busy")->latest->cpu_percent, 5);
  }
  EXPECT_TRUE(alerts().empty());
}

TEST_F(WatchTest, the_gates_counters_are_taken_once_and_survive_its_restart) {
  open();
  watch_->start();
  gate::CountersReply counted;
  counted.workspace = "ws_busy";
  counted.bytes_out = 1000;
  counted.bytes_in = 10;
  counters_ = {counted};
  ASSERT_TRUE(becomes(
      [&] { return pass(1s), watch_->sight("ws_busy") && watch_->sight("ws_busy")->network.bytes_out == 1000; }));
  EXPECT_EQ(watch_->take_network_bytes("ws_busy").out, 1000U);
  EXPECT_EQ(watch_->take_network_bytes("ws_busy").out, 0U);
  counters_[0].bytes_out = 300;  // a new gate
  ASSERT_TRUE(becomes([&] { return pass(1s), watch_->sight("ws_busy")->network.bytes_out == 1300; }));
  EXPECT_EQ(watch_->take_network_bytes("ws_busy").out, 300U);
  EXPECT_EQ(watch_->take_network_bytes("ws_quiet").out, 0U);
}

TEST_F(WatchTest, alerts_name_the_workspace_and_leave_its_neighbour_alone) {
  open({"cpu over=80 for=3s", "miner off", "stray_process for=0s", "new_executable for=0s", "new_destination after=10s",
        "denied over=2 within=10s"});
  watch_->alerts().start();
  look();
  for (int i = 0; i < 5; ++i) {
    busy().now.cpu_ms += 1990;
    look();
  }
  vm::GuestProcessInfo process;
  process.pid = 77;
  process.parent_pid = 1;
  process.rss_kib = 100;
  process.command = "daemonised";
  busy().listed = {process};
  busy().guest_files.modified_ms = identity::to_unix_ms(wall_ + 1h);
  ASSERT_TRUE(run(watch_->ask_all()));
  pass(1s);
  ASSERT_TRUE(run(watch_->ask_all()));
  EXPECT_EQ(busy().guest_files.asked, 1);  // it is known by then
  EXPECT_TRUE(becomes([&] {
    return alerts() == std::vector<std::string>{"new_executable ws_busy", "stray_process ws_busy", "cpu ws_busy"};
  }));
}

TEST_F(WatchTest, connections_are_counted_by_destination_and_a_new_one_is_told) {
  open({"new_destination after=10s", "denied over=2 within=10s"});
  watch_->start();
  ASSERT_TRUE(becomes([&] { return watch_->sight("ws_busy").has_value(); }));
  net::Flow flow;
  flow.workspace = "ws_busy";
  flow.kind = "egress";
  flow.event = "opened";
  flow.name = "known.example";
  flow.port = 443;
  flows_.push(flow);
  flow.event = "closed";
  flow.bytes_out = 500;
  flows_.push(flow);
  ASSERT_TRUE(becomes([&] {
    const auto all = watch_->destinations().of("ws_busy");
    return all.size() == 1 && all[0].bytes_out == 500 && all[0].opened == 1;
  }));
  pass(10s);
  flow.event = "opened";
  flows_.push(flow);
  flow.name = "new.example";
  flows_.push(flow);
  ASSERT_TRUE(becomes([&] { return alerts() == std::vector<std::string>{"new_destination ws_busy"}; }));
  flow.event = "refused";
  for (int i = 0; i < 3; ++i) flows_.push(flow);
  ASSERT_TRUE(becomes([&] { return alerts().front() == "denied ws_busy"; }));
  ASSERT_TRUE(run(watch_->close()));
  watch_.reset();
  open({"new_destination after=10s"});
  EXPECT_EQ(watch_->destinations().of("ws_busy").size(), 2U);  // after a restart
}

TEST_F(WatchTest, credentials_that_are_wrong_or_come_from_elsewhere_are_told_of_the_host) {
  open({"failed_auth over=3 within=60s"});
  watch_->alerts().start();
  for (int i = 0; i < 3; ++i) watch_->credentials_refused("203.0.113.9", "wrong");
  watch_->credentials_refused("203.0.113.10", "wrong");
  watch_->credentials_used("tok_1", "203.0.113.1");
  watch_->credentials_used("tok_1", "203.0.113.1");
  EXPECT_TRUE(alerts().empty());
  watch_->credentials_refused("203.0.113.9", "wrong");
  watch_->credentials_used("tok_1", "203.0.113.2");
  ASSERT_TRUE(becomes([&] { return alerts().size() == 2; }));
  EXPECT_EQ(alerts(), (std::vector<std::string>{"token_address ", "failed_auth "}));
  EXPECT_EQ(run(watch_->alerts().list({}))->front().next, "coffer events --actor tok_1");
}

TEST_F(WatchTest, containment_that_nobody_does_is_refused_by_the_rules_name) {
  WatchOptions options;
  options.rules = Rules::parse({"denied over=5 action=contain"}).value();
  options.list = [] { return std::vector<Watched>(); };
  const auto opened = Watch::open(io_.get_executor(), *database_, *webhooks_, std::move(options));
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("'denied over=5 within=10s action=contain'"), std::string::npos)
      << opened.error().message;
}

TEST_F(WatchTest, prometheus_gets_a_bounded_number_of_series) {
  const auto one = there_[0];
  for (std::size_t i = 0; i < kMaxSeries + 10; ++i) {
    there_.push_back(one);
    there_.back().id = cat("ws_", i);
    there_.back().name = std::string(300, 'n');
  }
  open();
  look();
  busy().now.memory_bytes = 4096;
  look();
  const auto text = metrics_text(*watch_);
  std::size_t lines = 0;
  for (const auto& line : split(text, '\n')) {
    lines += line.starts_with("cofferdam_workspace_memory_bytes{") ? 1 : 0;
    EXPECT_LT(line.size(), 400U);
  }
  EXPECT_EQ(lines, kMaxSeries);
  EXPECT_NE(text.find("\ncofferdam_workspaces_without_series 12"), std::string::npos);
  EXPECT_NE(text.find("# TYPE cofferdam_workspace_cpu_seconds_total counter"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam::monitor

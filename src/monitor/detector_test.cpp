// Every rule, with time by hand: one second a look.
#include "monitor/detector.h"

#include <gtest/gtest.h>

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;

class DetectorTest : public testing::Test {
 protected:
  void use(const std::vector<std::string>& rules) {
    rules_ = Rules::parse(rules).value();
    detector_.use(rules_.for_workspace("ws_1", "box", "ns_1", "team"));
  }
  // A look a second later; the names of what it has found.
  std::vector<std::string> look(Sample sample) {
    now_ += 1s;
    sample.at = now_;
    sample.passed = 1s;
    return names(detector_.sampled(sample));
  }
  std::vector<std::string> names(const Findings& findings) {
    std::vector<std::string> names;
    for (const auto& finding : findings) {
      EXPECT_FALSE(finding.cause.empty());
      EXPECT_FALSE(finding.evidence.empty());
      names.emplace_back(rule_name(finding.rule->kind));
    }
    return names;
  }
  static Sample busy(double percent, std::uint64_t disk = 0) {
    Sample sample;
    sample.cpu_percent = percent;
    sample.disk_written_bytes = disk;
    return sample;
  }
  static SeenProcess process(std::uint32_t pid, std::uint32_t parent, std::string command) {
    SeenProcess seen;
    seen.info.pid = pid;
    seen.info.parent_pid = parent;
    seen.info.command = std::move(command);
    seen.info.state = 'S';
    return seen;
  }
  std::vector<std::string> ask(const std::vector<SeenProcess>& processes) {
    now_ += 1s;
    return names(detector_.looked(processes, kBoot, now_));
  }

  static constexpr Time kBoot = Time(1'000'000s);
  using Names = std::vector<std::string>;
  Steady now_ = Steady(1h);
  Rules rules_;
  Detector detector_;
};

TEST_F(DetectorTest, a_busy_cpu_is_told_after_its_time_and_a_pause_begins_anew) {
  use({"cpu over=90 for=5s", "miner off"});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(busy(95)), Names{}) << i;
  EXPECT_EQ(look(busy(95)), Names{"cpu"});
  EXPECT_EQ(look(busy(90)), Names{});  // not above
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(busy(95)), Names{}) << i;
  detector_.rests();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(busy(95)), Names{}) << i;
  EXPECT_EQ(look(busy(95)), Names{"cpu"});
}

TEST_F(DetectorTest, a_miner_is_busy_flat_and_silent) {
  use({"cpu off", "miner over=90 for=5s io=64K"});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(look(busy(98 + i % 2)), Names{}) << i;
  EXPECT_EQ(look(busy(98)), Names{"miner"});
  EXPECT_EQ(look(busy(98, 65U << 10)), Names{});  // a compiler writes
  for (int i = 0; i < 20; ++i) EXPECT_EQ(look(busy(i % 2 == 0 ? 91 : 109)), Names{}) << i;
}

TEST_F(DetectorTest, bytes_out_count_within_their_time_alone) {
  use({"bytes_out over=1000 within=60s"});
  Sample sample;
  sample.net_out_bytes = 100;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(look(sample), Names{}) << i;
  EXPECT_EQ(look(sample), Names{"bytes_out"});
  sample.net_out_bytes = 10;
  for (int i = 0; i < 60; ++i) (void)look(sample);
  EXPECT_EQ(look(sample), Names{});
}

TEST_F(DetectorTest, a_disk_that_grows_fast_is_told_and_one_that_is_large_is_not) {
  use({"disk_growth over=1000 within=60s"});
  Sample sample;
  sample.disk_allocated_bytes = 1'000'000;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(look(sample), Names{});
  sample.disk_allocated_bytes += 1000;
  EXPECT_EQ(look(sample), Names{});
  sample.disk_allocated_bytes += 1;
  EXPECT_EQ(look(sample), Names{"disk_growth"});
  for (int i = 0; i < 120; ++i) (void)look(sample);
  EXPECT_EQ(look(sample), Names{});
  for (int i = 0; i < 120; ++i) {  // slowly
    sample.disk_allocated_bytes += 10;
    EXPECT_EQ(look(sample), Names{}) << i;
  }
}

TEST_F(DetectorTest, a_burst_of_refused_connections_is_told_and_a_trickle_is_not) {
  use({"denied over=3 within=10s"});
  net::Flow flow;
  flow.event = "refused";
  flow.name = "evil.example";
  flow.port = 443;
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(detector_.refused(flow, now_ += 4s).empty()) << i;
  now_ += 20s;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(detector_.refused(flow, now_).empty()) << i;
  EXPECT_EQ(names(detector_.refused(flow, now_)), Names{"denied"});
  now_ += 20s;
  flow.omitted = 100;  // records that the gate left out were refused ones too
  EXPECT_EQ(names(detector_.refused(flow, now_)), Names{"denied"});
}

TEST_F(DetectorTest, a_new_destination_counts_once_the_workspace_has_learned_its_own) {
  use({"new_destination after=1h"});
  net::Flow flow;
  EXPECT_TRUE(detector_.reached_anew("a:443", flow, 59min).empty());
  const auto found = detector_.reached_anew("a:443", flow, 60min);
  ASSERT_EQ(names(found), Names{"new_destination"});
  EXPECT_EQ(found[0].key, "a:443");
  EXPECT_TRUE(detector_.reached_anew("a:443", flow, -5min).empty());  // the clock was set back
}

TEST_F(DetectorTest, a_process_without_a_command_above_it_is_a_stray) {
  use({"stray_process for=2s", "new_executable off"});
  auto shell = process(10, 1, "sh");
  shell.info.is_command = true;
  const auto child = process(11, 10, "make");
  const auto grandchild = process(12, 11, "cc");
  const auto kernel = process(20, 2, "kworker");
  const auto dead = [] {
    auto zombie = process(30, 1, "gone");
    zombie.info.state = 'Z';
    return zombie;
  }();
  const std::vector<SeenProcess> ordinary{
      process(1, 0, "init"), process(2, 0, "kthreadd"), shell, child, grandchild, kernel, dead};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask(ordinary), Names{}) << i;
  auto with_stray = ordinary;
  with_stray.push_back(process(40, 1, "xmrig"));
  EXPECT_EQ(ask(with_stray), Names{});
  EXPECT_EQ(ask(with_stray), Names{});
  EXPECT_EQ(ask(with_stray), Names{"stray_process"});
  EXPECT_EQ(ask(ordinary), Names{});
  EXPECT_EQ(ask(with_stray), Names{});  // another one under that number
}

TEST_F(DetectorTest, parents_in_a_circle_end_the_search) {
  use({"stray_process for=0s"});
  EXPECT_EQ(ask({process(50, 51, "a"), process(51, 50, "b")}), (Names{"stray_process", "stray_process"}));
}

TEST_F(DetectorTest, a_program_written_after_the_boot_is_told_when_it_stays) {
  use({"stray_process off", "new_executable for=2s"});
  auto old = process(10, 1, "python3");
  old.written_at = kBoot - 1s;
  auto fresh = process(11, 1, "a.out");
  fresh.written_at = kBoot + 1s;
  const auto unknown = process(12, 1, "mystery");
  EXPECT_EQ(ask({old, fresh, unknown}), Names{});
  EXPECT_EQ(ask({old, fresh, unknown}), Names{});
  EXPECT_EQ(ask({old, fresh, unknown}), Names{"new_executable"});
  EXPECT_EQ(ask({old, unknown}), Names{});
}

TEST_F(DetectorTest, a_guest_with_thousands_of_strays_and_names_of_any_bytes_is_told_within_bounds) {
  use({"stray_process for=0s"});
  std::vector<SeenProcess> many;
  for (std::uint32_t pid = 10; pid < 4000; ++pid) many.push_back(process(pid, 1, std::string(5000, '\x1b')));
  const auto findings = detector_.looked(many, kBoot, now_);
  EXPECT_EQ(findings.size(), 8U);
  EXPECT_EQ(findings[0].key, std::string(64, '?'));
}

TEST(Window, is_the_sum_of_the_last_while) {
  Window window;
  const Steady start(1h);
  for (int i = 0; i < 1000; ++i) window.add(start + i * 1s, 1, 100s);
  EXPECT_GE(window.sum(), 98U);
  EXPECT_LE(window.sum(), 103U);
  window.add(start + 5000s, 0, 100s);
  EXPECT_EQ(window.sum(), 0U);
}

TEST_F(DetectorTest, a_drill_is_due_after_its_time_and_one_that_failed_is_told_at_once) {
  use({"drill after=2h"});
  Watched box;
  const Time now = kBoot + 100h;
  EXPECT_EQ(names(detector_.drilled(box, now)), Names());  // no snapshot
  box.undrilled_since = now - 2h;
  EXPECT_EQ(names(detector_.drilled(box, now)), Names());
  box.undrilled_since = now - 49h;
  ASSERT_EQ(names(detector_.drilled(box, now)), Names{"drill"});
  EXPECT_EQ(detector_.drilled(box, now).front().cause, "none of its snapshots was brought back for 2 days");
  box.undrilled_since = now;
  box.drill_error = "block 7 was changed";
  ASSERT_EQ(names(detector_.drilled(box, now)), Names{"drill"});
  EXPECT_NE(detector_.drilled(box, now).front().cause.find("block 7 was changed"), std::string::npos);
  use({"drill off"});
  EXPECT_EQ(names(detector_.drilled(box, now)), Names());
}

}  // namespace
}  // namespace cofferdam::monitor

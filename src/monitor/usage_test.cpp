// What was used, by the hour and by the day, and what namespaces may use.
#include "monitor/usage.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <limits>

#include "base/file.h"
#include "loop/run.h"
#include "monitor/quotas.h"
#include "monitor/schema.h"

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;

class UsageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-usage-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    clock_.wall = [this] { return now_; };
    open();
  }
  void TearDown() override { (void)remove_tree(dir_); }
  void open() {
    history_.reset();
    quotas_.reset();
    database_.reset();
    database_ = store::Database::open(dir_ + "/db", store::join({migrations()})).value();
    history_ = UsageHistory::open(*database_, clock_).value();
    quotas_ = Quotas::open(*database_, clock_).value();
  }
  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }
  static UsageSample used(const std::string& workspace, const std::string& space, std::uint64_t vcpu_ms) {
    UsageSample sample;
    sample.workspace_id = workspace;
    sample.namespace_id = space;
    sample.usage.vcpu_ms = vcpu_ms;
    sample.usage.cpu_ms = 1;
    sample.usage.samples = 1;
    sample.counters.vm_id = "vm_1";
    sample.counters.cpu_ms = 77;
    return sample;
  }
  std::vector<Bucket> hours(const std::string& id) {
    return run(history_->of_workspace(id, Period::hour, now_ - 1000h * 24, now_ + 1h)).value();
  }

  loop::asio::io_context io_;
  std::string dir_;
  Time now_ = identity::from_unix_ms(1'800'000'000'000);  // at the full hour
  identity::Clock clock_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<UsageHistory> history_;
  std::unique_ptr<Quotas> quotas_;
};

TEST_F(UsageTest, samples_add_up_in_their_hour_their_day_and_their_namespace) {
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 10), used("ws_b", "ns_1", 5)})));
  now_ += 59min;
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 20)})));
  now_ += 1min;
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 40)})));
  const auto a = hours("ws_a");
  ASSERT_EQ(a.size(), 2U);
  EXPECT_EQ(a[0].usage.vcpu_ms, 30U);
  EXPECT_EQ(a[1].usage.vcpu_ms, 40U);
  EXPECT_EQ(a[1].start - a[0].start, 1h);
  EXPECT_EQ(run(history_->total_of_workspace("ws_a")).value().vcpu_ms, 70U);
  EXPECT_EQ(run(history_->of_namespace("ns_1", Period::day, now_ - 48h, now_ + 1h)).value().at(0).usage.vcpu_ms, 75U);
  EXPECT_EQ(run(history_->totals_of_workspaces()).value().size(), 2U);
}

TEST_F(UsageTest, hours_and_days_are_kept_so_long_and_no_longer) {
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 10)})));
  now_ += UsageHistory::kHoursKept + 1h;
  ASSERT_TRUE(run(history_->add({used("ws_b", "ns_1", 1)})));
  EXPECT_TRUE(hours("ws_a").empty());
  EXPECT_EQ(run(history_->total_of_workspace("ws_a")).value().vcpu_ms, 10U);
  now_ += UsageHistory::kDaysKept + 48h;
  ASSERT_TRUE(run(history_->add({used("ws_b", "ns_1", 1)})));
  EXPECT_EQ(run(history_->total_of_workspace("ws_a")).value(), Usage{});
}

TEST_F(UsageTest, counters_and_untracked_workspaces_survive_the_daemon) {
  ASSERT_TRUE(run(history_->track("ws_a", UsageHistory::Tracking::off)));
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 10)})));
  open();
  EXPECT_EQ(history_->last_counters("ws_a")->cpu_ms, 77U);
  EXPECT_EQ(history_->last_counters("ws_a")->vm_id, "vm_1");
  EXPECT_EQ(history_->tracking("ws_a"), UsageHistory::Tracking::off);
  EXPECT_TRUE(hours("ws_a").empty());
  EXPECT_EQ(run(history_->of_namespace("ns_1", Period::day, now_ - 48h, now_ + 1h)).value().size(), 1U);
  ASSERT_TRUE(run(history_->track("ws_a", UsageHistory::Tracking::on)));
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 10)})));
  EXPECT_EQ(hours("ws_a").size(), 1U);
}

TEST_F(UsageTest, what_is_gone_is_forgotten_and_its_namespace_remembers) {
  ASSERT_TRUE(run(history_->add({used("ws_a", "ns_1", 10)})));
  ASSERT_TRUE(run(history_->forget_workspace("ws_a")));
  EXPECT_FALSE(history_->last_counters("ws_a"));
  EXPECT_TRUE(hours("ws_a").empty());
  EXPECT_EQ(run(history_->of_namespace("ns_1", Period::hour, now_ - 1h, now_ + 1h)).value().size(), 1U);
  ASSERT_TRUE(run(history_->forget_namespace("ns_1")));
  EXPECT_TRUE(run(history_->of_namespace("ns_1", Period::hour, now_ - 1h, now_ + 1h)).value().empty());
}

TEST_F(UsageTest, a_quota_counts_tells_its_thresholds_once_and_survives_the_daemon) {
  QuotaSetting setting;
  setting.limit = 10;
  setting.overdraft = 2;
  setting.thresholds = {50, 80};
  ASSERT_TRUE(run(quotas_->set("ns_1", "sandbox", setting)));
  EXPECT_TRUE(run(quotas_->add({{"ns_1", 4.0}, {"ns_other", 100.0}})).value().empty());
  EXPECT_EQ(run(quotas_->add({{"ns_1", 5.0}})).value().at(0).threshold, 80U);
  EXPECT_TRUE(run(quotas_->add({{"ns_1", 0.5}})).value().empty());
  EXPECT_TRUE(quotas_->check("ns_1"));
  open();
  const auto news = run(quotas_->add({{"ns_1", 3.0}})).value();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_FALSE(news[0].threshold);
  EXPECT_TRUE(news[0].used_up);
  EXPECT_EQ(quotas_->check("ns_1").error().code, Code::ResourceExhausted);
  EXPECT_TRUE(quotas_->check("ns_other"));
  EXPECT_EQ(run(quotas_->reset("ns_1", "sandbox")).value().used, 0.0);
  EXPECT_TRUE(quotas_->check("ns_1"));
  ASSERT_TRUE(run(quotas_->forget_namespace("ns_1")));
  open();
  EXPECT_TRUE(quotas_->of("ns_1").empty());
}

TEST_F(UsageTest, what_is_counted_while_a_quota_is_set_is_counted_on_and_the_setting_stays) {
  QuotaSetting setting;
  setting.limit = 10;
  ASSERT_TRUE(run(quotas_->set("ns_1", "sandbox", setting)));
  ASSERT_TRUE(run(quotas_->add({{"ns_1", 2.0}})));
  setting.limit = 20;
  const auto counted = loop::begin(io_, quotas_->add({{"ns_1", 1.0}}));
  const auto set = loop::begin(io_, quotas_->set("ns_1", "sandbox", setting));
  const auto more = loop::begin(io_, quotas_->add({{"ns_1", 1.0}}));
  loop::run_until(io_, [&] { return counted->has_value() && set->has_value() && more->has_value(); });
  for (int round = 0; round < 2; ++round) {
    const auto quota = quotas_->of("ns_1").at(0);
    EXPECT_EQ(quota.used, 4.0);
    EXPECT_EQ(quota.setting.limit, 20.0);
    open();
  }
  // What is forgotten in the middle of a count does not come back.
  const auto last = loop::begin(io_, quotas_->add({{"ns_1", 1.0}}));
  const auto forgotten = loop::begin(io_, quotas_->forget_namespace("ns_1"));
  const auto late = loop::begin(io_, quotas_->add({{"ns_1", 1.0}}));
  loop::run_until(io_, [&] { return last->has_value() && forgotten->has_value() && late->has_value(); });
  EXPECT_TRUE(quotas_->of("ns_1").empty());
  open();
  EXPECT_TRUE(quotas_->of("ns_1").empty());
}

TEST_F(UsageTest, of_a_workspace_that_is_no_more_its_namespace_alone_is_told) {
  auto sample = used("ws_gone", "ns_1", 1000);
  sample.gone = true;
  ASSERT_TRUE(run(history_->add({sample})));
  EXPECT_FALSE(history_->last_counters("ws_gone"));
  EXPECT_TRUE(hours("ws_gone").empty());
  EXPECT_EQ(run(history_->of_namespace("ns_1", Period::hour, now_ - 1h, now_ + 1h)).value().size(), 1U);
  open();
  EXPECT_FALSE(history_->last_counters("ws_gone"));
}

TEST_F(UsageTest, absurd_quotas_are_refused_with_their_field) {
  const auto refused = [&](double limit, double overdraft, std::vector<std::uint32_t> thresholds) {
    QuotaSetting setting;
    setting.limit = limit;
    setting.overdraft = overdraft;
    setting.thresholds = std::move(thresholds);
    return run(quotas_->set("ns_1", "sandbox", setting)).error().message;
  };
  EXPECT_EQ(refused(-1, 0, {}).find("/quotaLimit"), 0U);
  EXPECT_EQ(refused(std::numeric_limits<double>::quiet_NaN(), 0, {}).find("/quotaLimit"), 0U);
  EXPECT_EQ(refused(1, -1, {}).find("/overdraft"), 0U);
  EXPECT_EQ(refused(1, 0, {80, 50}).find("/notificationThresholds"), 0U);
  EXPECT_EQ(refused(1, 0, {0}).find("/notificationThresholds"), 0U);
  EXPECT_TRUE(quotas_->of("ns_1").empty());
}

}  // namespace
}  // namespace cofferdam::monitor

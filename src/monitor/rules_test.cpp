#include "monitor/rules.h"

#include <gtest/gtest.h>

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;

const Rule* in_force(const Rules::InForce& rules, RuleKind kind) { return rules.at(static_cast<std::size_t>(kind)); }

TEST(Rules, every_kind_is_on_by_default_for_everybody) {
  const Rules rules;
  const auto of = rules.for_workspace("ws_1", "box", "ns_1", "team");
  for (const auto* rule : of) {
    ASSERT_NE(rule, nullptr);
    EXPECT_EQ(rule->action, RuleAction::tell);
  }
  EXPECT_EQ(in_force(of, RuleKind::cpu)->over, 90U);
  EXPECT_EQ(in_force(of, RuleKind::cpu)->hold, 60s);
  EXPECT_NE(rules.for_host(RuleKind::failed_auth), nullptr);
  EXPECT_EQ(rules.containing(), nullptr);
}

TEST(Rules, what_names_a_workspace_wins_over_its_namespace_and_that_over_all) {
  const auto rules = Rules::parse({"cpu over=10 workspace=box", "cpu over=20 namespace=team", "cpu over=30"}).value();
  EXPECT_EQ(in_force(rules.for_workspace("ws_1", "box", "ns_1", "team"), RuleKind::cpu)->over, 10U);
  EXPECT_EQ(in_force(rules.for_workspace("ws_2", "other", "ns_1", "team"), RuleKind::cpu)->over, 20U);
  EXPECT_EQ(in_force(rules.for_workspace("ws_2", "other", "ns_2", ""), RuleKind::cpu)->over, 30U);
}

TEST(Rules, the_last_of_equals_wins_and_off_is_off) {
  const auto rules = Rules::parse({"denied over=5", "denied off", "cpu off workspace=ws_1", "failed_auth off"}).value();
  EXPECT_EQ(in_force(rules.for_workspace("ws_1", "box", "ns_1", ""), RuleKind::denied), nullptr);
  EXPECT_EQ(in_force(rules.for_workspace("ws_1", "box", "ns_1", ""), RuleKind::cpu), nullptr);
  EXPECT_NE(in_force(rules.for_workspace("ws_2", "box", "ns_1", ""), RuleKind::cpu), nullptr);
  EXPECT_EQ(rules.for_host(RuleKind::failed_auth), nullptr);
}

TEST(Rules, units_are_those_of_the_kind) {
  const auto rules =
      Rules::parse({"bytes_out over=10M within=1h", "cpu over=75%", "miner io=1K for=5s", "new_destination after=0s"})
          .value();
  const auto of = rules.for_workspace("ws_1", "", "", "");
  EXPECT_EQ(in_force(of, RuleKind::bytes_out)->over, 10U << 20);
  EXPECT_EQ(in_force(of, RuleKind::cpu)->over, 75U);
  EXPECT_EQ(in_force(of, RuleKind::miner)->io, 1024U);
  EXPECT_EQ(in_force(of, RuleKind::new_destination)->after, 0s);
}

TEST(Rules, a_rule_reads_as_it_is_written) {
  for (const std::string text : {"cpu over=90 for=60s", "denied off over=50 within=10s", "stray_process for=500ms",
                                 "bytes_out over=1048576 within=3600s workspace=web action=contain", "token_address",
                                 "new_executable for=60s namespace=team"}) {
    const auto rules = Rules::parse({text}).value();
    EXPECT_EQ(rules.all().back().text(), text);
  }
}

TEST(Rules, bad_ones_are_refused_by_name) {
  const auto error_of = [](const std::string& text) { return Rules::parse({text}).error().message; };
  for (const std::string text :
       {"", "cpux", "cpu over", "cpu over=", "cpu over=-1", "cpu over=101", "cpu within=1s", "denied over=1.5",
        "denied within=0s", "denied within=2d", "stray_process over=3", "token_address workspace=web",
        "failed_auth action=contain", "cpu action=explode", "cpu workspace=a namespace=b", "cpu for=soon"}) {
    EXPECT_TRUE(error_of(text).starts_with("the rule '" + text + "': ")) << text;
  }
  EXPECT_FALSE(Rules::parse(std::vector<std::string>(Rules::kMaxRules + 1, "cpu off")));
  EXPECT_EQ(Rules::parse({"denied action=contain"}).value().containing()->kind, RuleKind::denied);
}

TEST(Rules, a_drill_may_be_months_away_and_nothing_else_may) {
  EXPECT_EQ(Rules::parse({"drill after=90d"}).value().all().back().text(), "drill after=7776000s");
  EXPECT_FALSE(Rules::parse({"drill after=500d"}));
  EXPECT_FALSE(Rules::parse({"new_destination after=90d"}));
}

}  // namespace
}  // namespace cofferdam::monitor

#include "gate/policy.h"

#include <gtest/gtest.h>

namespace cofferdam::gate {
namespace {

Address address(std::string_view text) { return Address::parse(text).value(); }
Cidr range(std::string_view text) { return Cidr::parse(text).value(); }
NameRule rule(std::string_view name, Ports ports = {{443, 443}}) {
  NameRule made;
  made.name = name;
  made.ports = std::move(ports);
  return made;
}

TEST(GatePolicy, the_empty_one_lets_nothing_through) {
  const Policy policy;
  EXPECT_FALSE(allows_name(policy, "pypi.org"));
  EXPECT_EQ(find_name_rule(policy, "pypi.org", 443), nullptr);
  EXPECT_EQ(find_range_rule(policy, address("1.2.3.4"), 443), nullptr);
  EXPECT_EQ(find_link(policy, address("10.64.0.2"), 5432), nullptr);
}

TEST(GatePolicy, an_exact_name_is_that_name_only) {
  EXPECT_TRUE(name_matches("pypi.org", "pypi.org"));
  for (const auto* name : {"a.pypi.org", "xpypi.org", "pypi.org.evil.example", "pypi.or", "org", ""}) {
    EXPECT_FALSE(name_matches("pypi.org", name)) << name;
  }
}

TEST(GatePolicy, a_suffix_is_every_name_below_it_and_not_itself) {
  EXPECT_TRUE(name_matches("*.debian.org", "deb.debian.org"));
  EXPECT_TRUE(name_matches("*.debian.org", "a.b.debian.org"));
  for (const auto* name : {"debian.org", ".debian.org", "xdebian.org", "debian.org.evil.example"}) {
    EXPECT_FALSE(name_matches("*.debian.org", name)) << name;
  }
}

TEST(GatePolicy, the_closest_rule_that_has_the_port_wins) {
  Policy policy;
  policy.names = {rule("*"), rule("*.example.com"), rule("*.b.example.com"), rule("a.b.example.com", {{22, 22}})};
  EXPECT_EQ(find_name_rule(policy, "a.b.example.com", 22)->name, "a.b.example.com");
  EXPECT_EQ(find_name_rule(policy, "a.b.example.com", 443)->name, "*.b.example.com");
  EXPECT_EQ(find_name_rule(policy, "x.example.com", 443)->name, "*.example.com");
  EXPECT_EQ(find_name_rule(policy, "example.com", 443)->name, "*");
  EXPECT_EQ(find_name_rule(policy, "example.com", 22), nullptr);
}

TEST(GatePolicy, ranges_and_links_go_by_address_and_port) {
  Policy policy;
  policy.ranges = {{range("1.2.3.0/24"), {{8000, 8010}}}};
  policy.links = {{"db.internal", address("10.64.0.6"), {{5432, 5432}}, "ws_b"}};
  EXPECT_NE(find_range_rule(policy, address("1.2.3.4"), 8005), nullptr);
  EXPECT_EQ(find_range_rule(policy, address("1.2.3.4"), 8011), nullptr);
  EXPECT_EQ(find_range_rule(policy, address("1.2.4.4"), 8005), nullptr);
  EXPECT_EQ(find_link(policy, address("10.64.0.6"), 5432)->target, "ws_b");
  EXPECT_EQ(find_link(policy, address("10.64.0.6"), 5433), nullptr);
  EXPECT_EQ(find_link_by_name(policy, "db.internal")->target, "ws_b");
}

TEST(GatePolicy, what_is_no_rule_is_refused) {
  const auto refused = [](const NameRule& one) {
    Policy policy;
    policy.names = {one};
    return !validate(policy).has_value();
  };
  for (const auto* name : {"", ".", "Pypi.org", "pypi.org.", "*.*.org", "a*.org", "*", "a..b", "a b"}) {
    EXPECT_EQ(refused(rule(name)), std::string_view(name) != "*") << name;
  }
  EXPECT_TRUE(refused(rule(std::string(64, 'a'))));
  EXPECT_TRUE(refused(rule("a.example", {})));
  EXPECT_TRUE(refused(rule("a.example", {{0, 80}})));
  EXPECT_TRUE(refused(rule("a.example", {{81, 80}})));
  Policy v6;
  v6.ranges = {{range("2001:db8::/32"), {{1, 2}}}};
  EXPECT_FALSE(validate(v6));
  Policy many;
  many.names.assign(kMaxRules + 1, rule("a.example"));
  EXPECT_FALSE(validate(many));
}

TEST(GatePolicy, the_operator_denies_by_name_and_address) {
  Settings settings;
  settings.denied_names = {"*.onion.example"};
  settings.denied_ranges = {range("203.0.113.0/24"), range("2001:db8::/32")};
  EXPECT_TRUE(denies_name(settings, "x.onion.example"));
  EXPECT_FALSE(denies_name(settings, "onion.example"));
  EXPECT_TRUE(denies_address(settings, address("203.0.113.7")));
  EXPECT_TRUE(denies_address(settings, address("::ffff:203.0.113.7")));
  EXPECT_TRUE(denies_address(settings, address("2001:db8::1")));
  EXPECT_FALSE(denies_address(settings, address("203.0.114.7")));
}

}  // namespace
}  // namespace cofferdam::gate

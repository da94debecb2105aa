#include "identity/throttle.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::identity {
namespace {

using namespace std::chrono_literals;

class ThrottleTest : public testing::Test {
 protected:
  Throttle make() {
    return Throttle(Clock{std::chrono::system_clock::now, [this] { return now_; }}, options_);
  }
  static Address at(std::string_view text) { return Address::parse(text).value(); }
  Throttle::Options options_{.requests_per_second = 0, .free_failures = 3};
  std::chrono::steady_clock::time_point now_{1000h};
};

TEST_F(ThrottleTest, the_first_failures_cost_nothing_then_the_pause_doubles_up_to_its_bound) {
  auto throttle = make();
  const auto source = at("192.0.2.1");
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(throttle.admit(source));
    throttle.failed(source);
  }
  EXPECT_EQ(throttle.retry_after(source), 0ms);
  for (const auto pause : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s, 256s, 300s, 300s}) {
    EXPECT_TRUE(throttle.admit(source));
    throttle.failed(source);
    EXPECT_EQ(throttle.retry_after(source), pause);
    now_ += pause - 1ms;
    const auto refused = throttle.admit(source);
    EXPECT_EQ(refused.error().code, Code::ResourceExhausted);
    EXPECT_NE(refused.error().message.find("192.0.2.1"), std::string::npos);
    EXPECT_NE(refused.error().hint.find("try again in 1 s"), std::string::npos);
    now_ += 1ms;
  }
}

TEST_F(ThrottleTest, a_thousand_failures_do_not_overflow) {
  auto throttle = make();
  for (int i = 0; i < 1000; ++i) throttle.failed(at("192.0.2.1"));
  EXPECT_EQ(throttle.retry_after(at("192.0.2.1")), 300s);
}

TEST_F(ThrottleTest, one_source_does_not_pay_for_another) {
  auto throttle = make();
  for (int i = 0; i < 10; ++i) throttle.failed(at("192.0.2.1"));
  EXPECT_FALSE(throttle.admit(at("192.0.2.1")));
  EXPECT_TRUE(throttle.admit(at("192.0.2.2")));
}

TEST_F(ThrottleTest, one_ipv6_site_is_one_source) {
  auto throttle = make();
  for (int i = 0; i < 10; ++i) throttle.failed(at(cat("2001:db8:0:1::", i)));
  EXPECT_FALSE(throttle.admit(at("2001:db8:0:1:ffff::1")));
  EXPECT_TRUE(throttle.admit(at("2001:db8:0:2::1")));
  EXPECT_EQ(throttle.sources(), 2U);
}

TEST_F(ThrottleTest, success_and_time_forgive) {
  auto throttle = make();
  const auto source = at("192.0.2.1");
  for (int i = 0; i < 3; ++i) throttle.failed(source);
  throttle.succeeded(source);
  throttle.failed(source);
  EXPECT_EQ(throttle.retry_after(source), 0ms);

  for (int i = 0; i < 5; ++i) throttle.failed(source);
  EXPECT_GT(throttle.retry_after(source), 0ms);
  now_ += 15min;
  EXPECT_TRUE(throttle.admit(source));
  throttle.failed(source);
  EXPECT_EQ(throttle.retry_after(source), 0ms);
}

TEST_F(ThrottleTest, a_burst_is_admitted_then_the_rate) {
  options_.requests_per_second = 10;
  options_.burst = 5;
  auto throttle = make();
  const auto source = at("192.0.2.1");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(throttle.admit(source));
  EXPECT_EQ(throttle.admit(source).error().code, Code::ResourceExhausted);
  EXPECT_EQ(throttle.retry_after(source), 100ms);
  EXPECT_TRUE(throttle.admit(at("192.0.2.2")));
  now_ += 200ms;
  EXPECT_TRUE(throttle.admit(source));
  EXPECT_TRUE(throttle.admit(source));
  EXPECT_FALSE(throttle.admit(source));
  now_ += 1h;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(throttle.admit(source));
  EXPECT_FALSE(throttle.admit(source));
}

TEST_F(ThrottleTest, memory_is_bounded_and_the_least_recent_source_is_forgotten) {
  options_.max_sources = 100;
  auto throttle = make();
  for (int i = 0; i < 10; ++i) throttle.failed(at("192.0.2.1"));
  for (int i = 0; i < 99; ++i) EXPECT_TRUE(throttle.admit(at(cat("10.0.0.", i))));
  EXPECT_FALSE(throttle.admit(at("192.0.2.1")));
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(throttle.admit(at(cat("10.1.", i / 250, ".", i % 250))));
  EXPECT_EQ(throttle.sources(), 100U);
  EXPECT_TRUE(throttle.admit(at("192.0.2.1")));
}

}  // namespace
}  // namespace cofferdam::identity

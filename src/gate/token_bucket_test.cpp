#include "gate/token_bucket.h"

#include <gtest/gtest.h>

namespace cofferdam::gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TokenBucket::Time kStart = TokenBucket::Time() + std::chrono::hours(1);

TEST(TokenBucket, a_second_of_it_may_be_taken_at_once_and_then_as_it_comes) {
  TokenBucket bucket(1000, kStart);
  EXPECT_EQ(bucket.available(5000, kStart), 1000U);
  bucket.take(1000);
  EXPECT_EQ(bucket.available(5000, kStart), 0U);
  EXPECT_EQ(bucket.available(5000, kStart + milliseconds(100)), 100U);
  EXPECT_EQ(bucket.available(5000, kStart + seconds(100)), 1000U);
}

TEST(TokenBucket, a_slow_rate_is_not_lost_to_frequent_asking) {
  TokenBucket bucket(2, kStart);
  bucket.take(2);
  bool taken = false;
  for (int ms = 1; ms <= 501; ++ms) taken = taken || bucket.take_one(kStart + milliseconds(ms));
  EXPECT_TRUE(taken);
}

TEST(TokenBucket, zero_is_no_limit) {
  TokenBucket bucket(0, kStart);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(bucket.take_one(kStart));
  EXPECT_EQ(bucket.available(1ULL << 60, kStart), 1ULL << 60);
}

TEST(TokenBucket, a_new_rate_holds_at_once) {
  TokenBucket bucket(1'000'000, kStart);
  bucket.set_rate(10, kStart);
  EXPECT_EQ(bucket.available(1000, kStart), 10U);
  bucket.set_rate(0, kStart);
  EXPECT_EQ(bucket.available(1000, kStart), 1000U);
  bucket.set_rate(5, kStart);
  EXPECT_EQ(bucket.available(1000, kStart), 5U);
}

}  // namespace
}  // namespace cofferdam::gate

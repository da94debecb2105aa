// How long holds what a VMM has said of its disks.
#include "vm/figures.h"

#include <gtest/gtest.h>

namespace cofferdam::vm {
namespace {

using namespace std::chrono_literals;

class KnownTrafficTest : public testing::Test {
 protected:
  // What is known when the VMM has used so much CPU, so long after the start; -1: it has to be asked.
  [[nodiscard]] std::int64_t written(std::uint64_t cpu_ms, std::chrono::milliseconds after) const {
    const auto found = known_.at(cpu_ms, start_ + after);
    return found ? static_cast<std::int64_t>(found->written) : -1;
  }
  void told(std::uint64_t bytes, std::uint64_t cpu_ms, std::chrono::milliseconds after) {
    known_.told({1, bytes}, cpu_ms, start_ + after);
  }
  KnownTraffic known_;
  KnownTraffic::Time start_ = std::chrono::steady_clock::now();
};

TEST_F(KnownTrafficTest, who_was_never_asked_is_asked) {
  EXPECT_EQ(written(0, 0s), -1);
  EXPECT_EQ(written(500, 1h), -1);
}

TEST_F(KnownTrafficTest, it_holds_for_ever_while_the_cpu_stands_still) {
  told(4096, 100, 0s);
  EXPECT_EQ(written(100, 1s), 4096);
  EXPECT_EQ(written(100, 24h), 4096);
  EXPECT_EQ(known_.at(100, start_)->read, 1U);
}

TEST_F(KnownTrafficTest, one_that_works_is_asked_at_every_look) {
  told(4096, 100, 0s);
  EXPECT_EQ(written(100 + KnownTraffic::kStirMs, 1s), -1);
  told(8192, 130, 1s);
  EXPECT_EQ(written(130, 1s), 8192);
  EXPECT_EQ(written(1130, 2s), -1);
}

TEST_F(KnownTrafficTest, a_tick_is_asked_about_within_seconds) {
  told(4096, 100, 0s);
  EXPECT_EQ(written(110, 1s), 4096);
  EXPECT_EQ(written(120, KnownTraffic::kPatience - 1ms), 4096);
  EXPECT_EQ(written(120, KnownTraffic::kPatience), -1);
}

TEST_F(KnownTrafficTest, a_counter_that_went_back_belongs_to_another_vmm) {
  told(4096, 100, 0s);
  EXPECT_EQ(written(90, 1s), -1);
}

}  // namespace
}  // namespace cofferdam::vm

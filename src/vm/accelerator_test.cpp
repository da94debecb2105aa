#include "vm/accelerator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace cofferdam::vm {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(Accelerator, a_kvm_near_the_hosts_speed_is_taken) {
  const auto choice = choose_accelerator(Wanted::automatic, KvmTiming{milliseconds(10), milliseconds(11)}).value();
  EXPECT_EQ(choice.kind, Accelerator::kvm);
  EXPECT_NEAR(choice.speed_ratio, 0.909, 0.001);
  EXPECT_THAT(choice.reason, HasSubstr("1.1 times"));
}

TEST(Accelerator, a_kvm_that_crawls_is_not) {
  const auto choice = choose_accelerator(Wanted::automatic, KvmTiming{milliseconds(10), milliseconds(900)}).value();
  EXPECT_EQ(choice.kind, Accelerator::tcg);
  EXPECT_THAT(choice.reason, HasSubstr("90 times slower"));
}

TEST(Accelerator, a_kvm_that_fails_or_hangs_is_not) {
  const auto choice =
      choose_accelerator(Wanted::automatic, fail(Code::DeadlineExceeded, "did not end within 2 s")).value();
  EXPECT_EQ(choice.kind, Accelerator::tcg);
  EXPECT_EQ(choice.speed_ratio, 0);
  EXPECT_THAT(choice.reason, HasSubstr("did not end"));
}

TEST(Accelerator, what_is_asked_for_is_taken) {
  EXPECT_EQ(choose_accelerator(Wanted::tcg, KvmTiming{milliseconds(1), milliseconds(1)})->kind, Accelerator::tcg);
  const auto slow = choose_accelerator(Wanted::kvm, KvmTiming{milliseconds(1), milliseconds(100)}).value();
  EXPECT_EQ(slow.kind, Accelerator::kvm);
  EXPECT_THAT(slow.reason, HasSubstr("as asked for"));
}

TEST(Accelerator, a_kvm_that_is_asked_for_and_absent_is_an_error_with_a_hint) {
  const auto choice = choose_accelerator(Wanted::kvm, fail(Code::NotFound, "open '/dev/kvm': No such file"));
  ASSERT_FALSE(choice);
  EXPECT_EQ(choice.error().code, Code::FailedPrecondition);
  EXPECT_THAT(choice.error().hint, HasSubstr("--accel tcg"));
}

TEST(Accelerator, the_probe_of_this_host_ends_and_explains_itself) {
  const auto start = std::chrono::steady_clock::now();
  const auto choice = probe_accelerator(Wanted::automatic);
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  EXPECT_NE(choice->reason, "");
  EXPECT_EQ(choice->reason.find('\n'), std::string::npos);
  if (choice->kind == Accelerator::kvm) EXPECT_GE(choice->speed_ratio, 0.25);
  RecordProperty("accelerator", choice->reason);
  std::printf("%s\n", choice->reason.c_str());
}

TEST(Accelerator, the_tsc_is_measured_alike_twice) {
  const auto first = static_cast<double>(host_tsc_khz());
  const auto second = static_cast<double>(host_tsc_khz());
  EXPECT_GT(first, 100e3);
  EXPECT_LT(first, 10e6);
  EXPECT_NEAR(first, second, first / 500);
}

}  // namespace
}  // namespace cofferdam::vm

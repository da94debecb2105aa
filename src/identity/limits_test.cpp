#include "identity/limits.h"

#include <gmock/gmock.h>

#include <limits>

namespace cofferdam::identity {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Limits, without_any_everything_fits) {
  constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();
  EXPECT_TRUE(admit({}, {kHuge, kHuge, kHuge, kHuge}, {kHuge, kHuge, kHuge, kHuge}));
}

TEST(Limits, up_to_the_limit_fits_and_one_more_does_not) {
  const ResourceLimits limits{2, 4, 1024, 10};
  EXPECT_TRUE(admit(limits, {1, 3000, 512, 6144}, {1, 1000, 512, 4096}));
  EXPECT_FALSE(admit(limits, {2, 0, 0, 0}, {1, 0, 0, 0}));
  EXPECT_FALSE(admit(limits, {0, 3000, 0, 0}, {0, 1001, 0, 0}));
  EXPECT_FALSE(admit(limits, {0, 0, 512, 0}, {0, 0, 513, 0}));
  EXPECT_FALSE(admit(limits, {0, 0, 0, 6144}, {0, 0, 0, 4097}));
}

TEST(Limits, every_total_that_is_exceeded_is_named_with_its_figures) {
  const auto error = admit({5, 4, 1024, {}}, {1, 3500, 1000, 0}, {1, 1000, 100, 1 << 20}).error();
  EXPECT_EQ(error.code, Code::ResourceExhausted);
  EXPECT_THAT(error.message, HasSubstr("max_vcpus is 4, 3.5 in use, 1 asked for"));
  EXPECT_THAT(error.message, HasSubstr("max_ram_mb is 1024, 1000 in use, 100 asked for"));
  EXPECT_THAT(error.message, Not(HasSubstr("max_workspaces")));
  EXPECT_THAT(error.message, Not(HasSubstr("max_disk_gb")));
}

TEST(Limits, zero_is_a_limit) { EXPECT_FALSE(admit({0, {}, {}, {}}, {}, {1, 100, 128, 64})); }

TEST(Limits, what_is_not_asked_for_is_not_held_against_a_wish) {
  // The limit was lowered below what is there already.
  EXPECT_TRUE(admit({1, 1, {}, {}}, {5, 5000, 0, 0}, {0, 0, 512, 0}));
}

TEST(Limits, large_figures_do_not_wrap_around) {
  constexpr auto kHuge = std::numeric_limits<std::uint64_t>::max();
  EXPECT_FALSE(admit({10, {}, {}, {}}, {kHuge, 0, 0, 0}, {kHuge, 0, 0, 0}));
  EXPECT_TRUE(admit({{}, {}, {}, kHuge}, {0, 0, 0, 1}, {0, 0, 0, 1}));
}

TEST(Limits, what_is_not_set_is_inherited) {
  const auto limits = inherit({1, {}, {}, 7}, {9, 8, {}, 9});
  EXPECT_EQ(limits, (ResourceLimits{1, 8, {}, 7}));
}

}  // namespace
}  // namespace cofferdam::identity

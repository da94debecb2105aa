#include "base/time.h"

#include <gtest/gtest.h>

namespace cofferdam {
namespace {

std::string at_ms(std::int64_t ms) {
  return format_rfc3339(std::chrono::system_clock::time_point(std::chrono::milliseconds(ms)));
}

TEST(Rfc3339, knows_leap_years_ends_of_months_and_times_before_1970) {
  EXPECT_EQ(at_ms(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(at_ms(951'827'696'789), "2000-02-29T12:34:56.789Z");
  EXPECT_EQ(at_ms(1'798'761'599'999), "2026-12-31T23:59:59.999Z");
  EXPECT_EQ(at_ms(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace cofferdam

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

TEST(Time, what_was_written_is_read_again) {
  const std::string text = "2026-01-31T23:59:59.123Z";
  EXPECT_EQ(format_rfc3339(parse_rfc3339(text).value()), text);
}

TEST(Time, seconds_fractions_and_days_alone_are_read) {
  EXPECT_EQ(format_rfc3339(parse_rfc3339("2026-02-28T01:02:03Z").value()), "2026-02-28T01:02:03.000Z");
  EXPECT_EQ(format_rfc3339(parse_rfc3339("2026-02-28T01:02:03.5Z").value()), "2026-02-28T01:02:03.500Z");
  EXPECT_EQ(format_rfc3339(parse_rfc3339("2026-02-28T01:02:03.123456Z").value()), "2026-02-28T01:02:03.123Z");
  EXPECT_EQ(format_rfc3339(parse_rfc3339("2026-02-28").value()), "2026-02-28T00:00:00.000Z");
}

TEST(Time, what_is_no_time_is_refused) {
  for (const char* wrong :
       {"", "now", "2026", "2026-13-01", "2026-01-32", "1969-01-01", "2026-01-01T25:00:00Z", "2026-01-01T10:00:00",
        "2026-01-01T10:00:00+02:00", "2026-01-01T10:00:00Zx", "2026-01-01 10:00:00Z", "99999999999999999999-01-01",
        "2262-01-01T00:00:00Z", "9999-12-31"}) {
    EXPECT_FALSE(parse_rfc3339(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace cofferdam

#include "base/text.h"

#include <gtest/gtest.h>

namespace cofferdam {
namespace {

TEST(ParseSize, takes_units_and_refuses_nonsense) {
  EXPECT_EQ(parse_size("512M").value(), 512ULL << 20);
  EXPECT_EQ(parse_size("4GiB").value(), 4ULL << 30);
  EXPECT_EQ(parse_size("1.5K").value(), 1536U);
  EXPECT_EQ(parse_size("0").value(), 0U);
  for (const char* bad : {"", "-1", "12Q", "G", "1e999", "nan", "inf", "99999999T", "1 G"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(ParseDuration, takes_units_and_refuses_nonsense) {
  EXPECT_EQ(parse_duration("90").value().count(), 90'000);
  EXPECT_EQ(parse_duration("30m").value().count(), 1'800'000);
  EXPECT_EQ(parse_duration("250ms").value().count(), 250);
  for (const char* bad : {"", "-5s", "1y", "s", "900000d"}) EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Cat, writes_each_part_as_a_stream_would) {
  const std::string text = "text";
  const std::string_view view = "view";
  EXPECT_EQ(cat(text, ' ', view, " ", "literal"), "text view literal");
  EXPECT_EQ(cat(-1, ' ', 18446744073709551615ULL, ' ', true, ' ', 2.5, ' ', 1e100),
            "-1 18446744073709551615 1 2.5 1e+100");
  EXPECT_EQ(cat(static_cast<std::uint8_t>(65)), "65");
  EXPECT_EQ(cat(), "");
}

TEST(Hex, round_trips_and_is_strict) {
  const std::string bytes("\x00\xff\x7f", 3);
  EXPECT_EQ(to_hex(bytes), "00ff7f");
  EXPECT_EQ(from_hex("00ff7f").value(), bytes);
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("zz"));
}

TEST(FormatSize, is_short) {
  EXPECT_EQ(format_size(512ULL << 20), "512 MiB");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
}

TEST(ParseInt, holds_its_bounds) {
  EXPECT_EQ(parse_int("n", "7", 0, 10).value(), 7);
  EXPECT_FALSE(parse_int("n", "11", 0, 10));
  EXPECT_FALSE(parse_int("n", "7x", 0, 10));
  EXPECT_FALSE(parse_int("n", "99999999999999999999", 0, 10));
}

}  // namespace
}  // namespace cofferdam

#include "base/address.h"

#include <gtest/gtest.h>

namespace cofferdam {
namespace {

Address address(std::string_view text) { return Address::parse(text).value(); }
Cidr range(std::string_view text) { return Cidr::parse(text).value(); }

TEST(Address, both_families_are_read_and_written) {
  for (const auto* text : {"10.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::8:800:200c:417a", "fe80::1"}) {
    EXPECT_EQ(address(text).text(), text);
  }
  EXPECT_TRUE(address("10.0.0.1").is_v4());
  EXPECT_FALSE(address("::1").is_v4());
}

TEST(Address, ipv4_inside_ipv6_is_the_ipv4_address) {
  EXPECT_EQ(address("::ffff:10.0.0.1"), address("10.0.0.1"));
  EXPECT_EQ(address("::ffff:10.0.0.1").text(), "10.0.0.1");
}

TEST(Address, what_is_none_is_refused) {
  const std::string_view none[] = {"",         "10.0.0",      "10.0.0.256", "010.0.0.1",
                                   "1.2.3.4 ", " ::1",        "::1%lo",     "[::1]",
                                   ":::",      "10.0.0.1:80", "localhost",  std::string_view("10.0.0.1\0", 9)};
  for (const auto text : none) {
    EXPECT_EQ(Address::parse(text).error().code, Code::InvalidArgument) << text;
  }
  EXPECT_FALSE(Address::parse(std::string(10000, '1')));
}

TEST(Cidr, contains_exactly_its_addresses) {
  EXPECT_TRUE(range("10.0.0.0/8").contains(address("10.255.255.255")));
  EXPECT_FALSE(range("10.0.0.0/8").contains(address("11.0.0.0")));
  EXPECT_TRUE(range("192.168.1.128/25").contains(address("192.168.1.200")));
  EXPECT_FALSE(range("192.168.1.128/25").contains(address("192.168.1.127")));
  EXPECT_TRUE(range("10.1.2.3").contains(address("10.1.2.3")));
  EXPECT_FALSE(range("10.1.2.3").contains(address("10.1.2.2")));
  EXPECT_TRUE(range("2001:db8::/32").contains(address("2001:db8:ffff::1")));
  EXPECT_FALSE(range("2001:db8::/32").contains(address("2001:db9::")));
  EXPECT_TRUE(range("0.0.0.0/0").contains(address("8.8.8.8")));
}

TEST(Cidr, families_are_apart) {
  EXPECT_FALSE(range("::/0").contains(address("10.0.0.1")));
  EXPECT_FALSE(range("0.0.0.0/0").contains(address("::1")));
  EXPECT_TRUE(range("::/0").contains(address("::1")));
  EXPECT_FALSE(range("::/0").contains(range("10.0.0.0/8")));
  EXPECT_TRUE(range("::ffff:10.0.0.0/104").contains(address("10.1.1.1")));
}

TEST(Cidr, a_narrower_range_is_inside_a_wider_one) {
  EXPECT_TRUE(range("10.0.0.0/8").contains(range("10.1.0.0/16")));
  EXPECT_TRUE(range("10.0.0.0/8").contains(range("10.0.0.0/8")));
  EXPECT_FALSE(range("10.1.0.0/16").contains(range("10.0.0.0/8")));
  EXPECT_FALSE(range("10.1.0.0/16").contains(range("10.2.0.0/16")));
}

TEST(Cidr, text_has_a_prefix_and_round_trips) {
  EXPECT_EQ(range("10.1.2.3").text(), "10.1.2.3/32");
  EXPECT_EQ(range("::1").text(), "::1/128");
  EXPECT_EQ(range("2001:db8::/32").text(), "2001:db8::/32");
  EXPECT_EQ(range("0.0.0.0/0").text(), "0.0.0.0/0");
  EXPECT_EQ(range("::ffff:10.0.0.0/104").text(), "10.0.0.0/8");
}

TEST(Cidr, what_is_unclear_is_refused) {
  for (const auto* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.0/8x"}) {
    EXPECT_EQ(Cidr::parse(text).error().code, Code::InvalidArgument) << text;
  }
  const auto error = Cidr::parse("10.0.0.1/8").error();
  EXPECT_NE(error.message.find("bits beyond its prefix"), std::string::npos);
  EXPECT_NE(error.hint.find("10.0.0.0/8"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam

#include "base/dns_name.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam {
namespace {

TEST(DnsName, labels_have_their_bounds_and_their_letters) {
  const std::string longest(63, 'a');
  for (const std::string& good : {std::string("a"), std::string("a-b.c_1.example"), longest + ".example"}) {
    EXPECT_TRUE(is_dns_name(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string("a."), std::string("a..b"), longest + "a",
        std::string("A.example"), std::string("a b"), cat(longest, ".", longest, ".", longest, ".", longest)}) {
    EXPECT_FALSE(is_dns_name(bad)) << bad;
  }
}

TEST(DnsName, a_public_name_is_made_one_spelling_and_no_address_in_disguise_is_one) {
  EXPECT_EQ(public_name("Proxy.Example.org.").value(), "proxy.example.org");
  for (const char* bad : {"", ".", "localhost", "0x7f.1", "127.1", "2130706433", "10.0.0.1", "a b.example", "*.example",
                          "http://a.example", "a.example:80", "me@a.example"}) {
    const auto refused = public_name(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
  }
}

TEST(DnsName, a_host_is_a_public_name_or_an_address_in_one_spelling) {
  EXPECT_EQ(public_host("Proxy.Example").value(), "proxy.example");
  EXPECT_EQ(public_host("45.1.0.80").value(), "45.1.0.80");
  EXPECT_EQ(public_host("[2606:4700:0::1]").value(), "2606:4700::1");
  EXPECT_EQ(public_host("2606:4700::1").value(), "2606:4700::1");
  EXPECT_FALSE(public_host("[proxy.example]"));
  EXPECT_FALSE(public_host("[]"));
}

TEST(DnsName, an_address_of_ipv6_is_kept_apart_from_its_port) {
  EXPECT_EQ(host_and_port("proxy.example", 3128), "proxy.example:3128");
  EXPECT_EQ(host_and_port("2606:4700::1", 80), "[2606:4700::1]:80");
}

}  // namespace
}  // namespace cofferdam

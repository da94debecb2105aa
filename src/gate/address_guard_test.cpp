#include "gate/address_guard.h"

#include <gtest/gtest.h>

namespace cofferdam::gate {
namespace {

AddressClass class_of(std::string_view text) { return classify(Address::parse(text).value()); }

TEST(AddressGuard, the_public_internet_is_outside) {
  for (const auto* text : {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
                           "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255",
                           "192.169.0.0", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "3ffe:ffff::1"}) {
    EXPECT_EQ(class_of(text), AddressClass::outside) << text;
  }
}

TEST(AddressGuard, the_sites_own_ranges_are_apart) {
  for (const auto* text : {"10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1",
                           "100.127.255.255", "198.18.0.1", "198.19.255.255", "fc00::1", "fdff::1"}) {
    EXPECT_EQ(class_of(text), AddressClass::site) << text;
  }
}

TEST(AddressGuard, loopback_link_local_metadata_and_multicast_are_never_dialled) {
  for (const auto* text : {"0.0.0.0",
                           "0.1.2.3",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "169.254.0.1",
                           "192.0.0.192",
                           "192.0.2.1",
                           "198.51.100.1",
                           "203.0.113.1",
                           "224.0.0.1",
                           "239.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "100.100.100.200",
                           "168.63.129.16",
                           "::",
                           "::1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "ff02::1",
                           "fd00:ec2::254",
                           "fd20:ce::254",
                           "2001:db8::1",
                           "100::1",
                           "4000::1"}) {
    EXPECT_EQ(class_of(text), AddressClass::never) << text;
  }
}

TEST(AddressGuard, ipv4_in_the_disguise_of_ipv6_is_never_dialled) {
  for (const auto* text : {"64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:808:808::1", "2001::1",
                           "::127.0.0.1", "::a00:1", "::ffff:0:127.0.0.1"}) {
    EXPECT_EQ(class_of(text), AddressClass::never) << text;
  }
  EXPECT_EQ(class_of("::ffff:127.0.0.1"), AddressClass::never);
  EXPECT_EQ(class_of("::ffff:10.0.0.1"), AddressClass::site);
  EXPECT_EQ(class_of("::ffff:8.8.8.8"), AddressClass::outside);
}

TEST(AddressGuard, the_operator_opens_the_sites_ranges_only) {
  Settings settings;
  settings.opened_ranges = {Cidr::parse("0.0.0.0/0").value(), Cidr::parse("::/0").value()};
  EXPECT_TRUE(may_dial(settings, Address::parse("10.1.2.3").value()));
  EXPECT_TRUE(may_dial(settings, Address::parse("fd12::1").value()));
  EXPECT_FALSE(may_dial(settings, Address::parse("127.0.0.1").value()));
  EXPECT_FALSE(may_dial(settings, Address::parse("169.254.169.254").value()));
  EXPECT_FALSE(may_dial(settings, Address::parse("100.100.100.200").value()));
  EXPECT_FALSE(may_dial(settings, Address::parse("::1").value()));
  EXPECT_FALSE(may_dial(Settings(), Address::parse("10.1.2.3").value()));
}

TEST(AddressGuard, what_the_operator_denies_is_above_all) {
  Settings settings;
  settings.denied_ranges = {Cidr::parse("8.8.8.0/24").value()};
  settings.opened_ranges = {Cidr::parse("8.8.8.0/24").value()};
  EXPECT_FALSE(may_dial(settings, Address::parse("8.8.8.8").value()));
  EXPECT_TRUE(may_dial(settings, Address::parse("8.8.4.4").value()));
}

}  // namespace
}  // namespace cofferdam::gate

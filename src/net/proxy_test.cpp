#include "net/proxy.h"

#include <gtest/gtest.h>

namespace cofferdam::net {
namespace {

SecureBytes login(std::string_view text) { return SecureBytes::copy_of(text); }

Result<Proxy> made(std::string_view host, const gate::Settings& settings = {}, std::string_view who = "") {
  return make_proxy(settings, host, 3128, gate::ProxyTarget::address, login(who));
}

TEST(Proxy, a_name_or_a_public_address_is_taken) {
  EXPECT_EQ(made("Proxy.Example.org.")->host, "proxy.example.org");
  EXPECT_EQ(made("45.1.0.80")->host, "45.1.0.80");
  EXPECT_EQ(proxy_text(made("[2606:4700::1]").value()), "[2606:4700::1]:3128");
}

TEST(Proxy, addresses_that_lead_inwards_are_refused_unless_the_operator_opened_them) {
  for (const char* inside : {"127.0.0.1", "10.0.0.3", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "[::1]",
                             "fd00::1", "fe80::1", "::ffff:10.0.0.3", "64:ff9b::a00:3", "0.0.0.0", "224.0.0.1"}) {
    const auto refused = made(inside);
    ASSERT_FALSE(refused) << inside;
    EXPECT_EQ(refused.error().code, Code::PermissionDenied) << inside;
  }
  gate::Settings settings;
  settings.opened_ranges = {Cidr::parse("10.0.0.0/24").value()};
  EXPECT_TRUE(made("10.0.0.3", settings));
  EXPECT_FALSE(made("10.0.1.3", settings));
  EXPECT_FALSE(made("127.0.0.1", settings));
}

TEST(Proxy, what_is_no_host_is_refused) {
  for (const char* bad : {"", "localhost", "0x7f.1", "127.1", "2130706433", "a b.example", "http://proxy.example",
                          "proxy.example:80", "me@proxy.example", "-", "*.example.org"}) {
    const auto refused = made(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::InvalidArgument) << bad;
  }
  EXPECT_FALSE(make_proxy({}, "proxy.example", 0, gate::ProxyTarget::address, login("")));
}

TEST(Proxy, the_operators_denials_hold_for_it_too) {
  gate::Settings settings;
  settings.denied_names = {"*.banned.example"};
  settings.denied_ranges = {Cidr::parse("45.1.0.0/24").value()};
  EXPECT_EQ(made("x.banned.example", settings).error().code, Code::PermissionDenied);
  EXPECT_EQ(made("45.1.0.80", settings).error().code, Code::PermissionDenied);
  EXPECT_TRUE(made("45.2.0.80", settings));
}

TEST(Proxy, a_login_reaches_the_gate_and_no_error) {
  const auto proxy = made("proxy.example", {}, "me:pass:word").value();
  EXPECT_EQ(for_gate(proxy).login, "me:pass:word");
  EXPECT_EQ(proxy_text(proxy), "proxy.example:3128");
  for (const char* bad : {"hidden", "me:hidden\r\nX: y", "hidden\x7f:x"}) {
    const auto refused = made("proxy.example", {}, bad);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message.find("hidden"), std::string::npos) << refused.error().message;
  }
}

TEST(Proxy, two_are_the_same_when_their_logins_are) {
  EXPECT_EQ(made("proxy.example", {}, "me:x").value(), made("proxy.example", {}, "me:x").value());
  EXPECT_NE(made("proxy.example", {}, "me:x").value(), made("proxy.example", {}, "me:y").value());
  EXPECT_NE(made("proxy.example", {}, "me:x").value(), made("proxy.example").value());
}

}  // namespace
}  // namespace cofferdam::net

#include "crypto/certificate.h"

#include <gtest/gtest.h>

namespace cofferdam::crypto {
namespace {

using namespace std::chrono_literals;

const std::vector<std::string> kNames{"localhost", "127.0.0.1", "::1", "host-1.example"};

TEST(SelfSigned, says_what_was_asked_for) {
  const auto now = std::chrono::system_clock::from_time_t(1'800'000'000);
  const auto made = make_self_signed(kNames, now, 24h * 365).value();
  EXPECT_NE(made.key_pem.find("BEGIN PRIVATE KEY"), std::string::npos);
  const auto facts = look_at_certificate(made.certificate_pem).value();
  EXPECT_EQ(facts.names, kNames);
  EXPECT_EQ(facts.not_before, now);
  EXPECT_EQ(facts.not_after, now + 24h * 365);
  EXPECT_EQ(facts.fingerprint.size(), 64U);
}

TEST(SelfSigned, no_two_are_the_same) {
  const auto now = std::chrono::system_clock::now();
  const auto one = make_self_signed(kNames, now, 1h).value();
  const auto two = make_self_signed(kNames, now, 1h).value();
  EXPECT_NE(one.key_pem, two.key_pem);
  EXPECT_NE(look_at_certificate(one.certificate_pem)->fingerprint,
            look_at_certificate(two.certificate_pem)->fingerprint);
}

TEST(SelfSigned, a_name_that_would_mean_something_else_is_refused) {
  const auto now = std::chrono::system_clock::now();
  for (const std::string& bad : {std::string(), std::string("a,IP:1.2.3.4"), std::string("a b"), std::string("*"),
                                 std::string("a\nb"), std::string("otherName:x"), std::string("a\0b", 3)}) {
    EXPECT_EQ(make_self_signed({bad}, now, 1h).error().code, Code::InvalidArgument) << bad;
  }
  EXPECT_FALSE(make_self_signed({}, now, 1h));
}

TEST(Certificate, text_that_holds_none_is_refused) {
  EXPECT_EQ(look_at_certificate("").error().code, Code::InvalidArgument);
  EXPECT_EQ(look_at_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").error().code,
            Code::InvalidArgument);
}

TEST(Fingerprint, is_read_with_and_without_colons) {
  const std::string plain(64, 'a');
  std::string colons = "AA";
  for (int i = 1; i < 32; ++i) colons += ":aA";
  EXPECT_EQ(parse_fingerprint(plain).value(), plain);
  EXPECT_EQ(parse_fingerprint(colons).value(), plain);
  for (const std::string& bad : {std::string(), std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g'),
                                 colons.substr(1) + ":", colons + ":", std::string(95, 'a'), std::string(95, ':')}) {
    EXPECT_FALSE(parse_fingerprint(bad)) << bad;
  }
}

}  // namespace
}  // namespace cofferdam::crypto

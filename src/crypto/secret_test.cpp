// HMAC, comparison, authenticated encryption and random texts.
#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/constant_time.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

namespace cofferdam::crypto {
namespace {

TEST(Hmac, published_examples) {
  // RFC 4231, cases 1, 2 and 6.
  EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(ConstantTime, equal_only_when_every_byte_is) {
  EXPECT_TRUE(constant_time_equal("", ""));
  EXPECT_TRUE(constant_time_equal("secret", "secret"));
  EXPECT_FALSE(constant_time_equal("secret", "secreT"));
  EXPECT_FALSE(constant_time_equal("secret", "Secret"));
  EXPECT_FALSE(constant_time_equal("secret", "secre"));
}

TEST(Aead, opens_what_it_sealed) {
  const auto key = random_secret(kAeadKeyBytes);
  for (const std::string& plain : {std::string(), std::string("p4ssw0rd"), std::string(100000, 'x')}) {
    const auto sealed = seal(key, plain, "here");
    EXPECT_EQ(sealed.size(), plain.size() + kAeadOverhead);
    const auto opened = unseal(key, sealed, "here");
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->view(), plain);
  }
}

TEST(Aead, same_plain_text_never_looks_the_same) {
  const auto key = random_secret(kAeadKeyBytes);
  EXPECT_NE(seal(key, "p4ssw0rd", ""), seal(key, "p4ssw0rd", ""));
  EXPECT_EQ(seal(key, "p4ssw0rd", "").find("p4ssw0rd"), std::string::npos);
}

TEST(Aead, any_changed_bit_and_any_cut_is_data_loss) {
  const auto key = random_secret(kAeadKeyBytes);
  const auto sealed = seal(key, "p4ssw0rd", "here");
  for (std::size_t i = 0; i < sealed.size() * 8; ++i) {
    auto changed = sealed;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    EXPECT_EQ(unseal(key, changed, "here").error().code, Code::DataLoss) << i;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_EQ(unseal(key, sealed.substr(0, size), "here").error().code, Code::DataLoss) << size;
  }
}

TEST(Aead, another_key_or_another_place_is_data_loss) {
  const auto key = random_secret(kAeadKeyBytes);
  const auto sealed = seal(key, "p4ssw0rd", "here");
  EXPECT_EQ(unseal(random_secret(kAeadKeyBytes), sealed, "here").error().code, Code::DataLoss);
  EXPECT_EQ(unseal(key, sealed, "there").error().code, Code::DataLoss);
}

TEST(Random, base62_has_the_length_and_the_digits) {
  const auto text = random_base62(4000);
  ASSERT_EQ(text.size(), 4000U);
  const std::set<char> seen(text.view().begin(), text.view().end());
  EXPECT_EQ(seen.size(), 62U);
  for (const char c : seen) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c)) != 0) << c;
}

TEST(Random, no_two_secrets_are_alike) { EXPECT_NE(random_secret(32).view(), random_secret(32).view()); }

}  // namespace
}  // namespace cofferdam::crypto

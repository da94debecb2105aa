#include "crypto/signature.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::crypto {
namespace {

std::string hex(std::string_view text) { return from_hex(text).value(); }

TEST(Signature, published_examples) {
  // RFC 8032, 7.1, tests 1 and 3.
  const auto first = SecureBytes::copy_of(hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  EXPECT_EQ(to_hex(public_key_of(first)), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(
      to_hex(sign(first, "")),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595"
      "bbe24655141438e7a100b");
  const auto third = SecureBytes::copy_of(hex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"));
  EXPECT_EQ(to_hex(public_key_of(third)), "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
  EXPECT_EQ(
      to_hex(sign(third, hex("af82"))),
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716"
      "ed28dc027beceea1ec40a");
}

TEST(Signature, any_changed_bit_is_refused) {
  const auto key = make_signing_key();
  const auto public_key = public_key_of(key);
  const auto signature = sign(key, "message");
  EXPECT_TRUE(verify_signature(public_key, "message", signature));
  EXPECT_FALSE(verify_signature(public_key, "messagE", signature));
  for (std::size_t i = 0; i < signature.size() * 8; ++i) {
    auto changed = signature;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(verify_signature(public_key, "message", changed)) << i;
  }
}

TEST(Signature, another_key_and_malformed_input_are_refused) {
  const auto key = make_signing_key();
  const auto signature = sign(key, "message");
  EXPECT_FALSE(verify_signature(public_key_of(make_signing_key()), "message", signature));
  EXPECT_FALSE(verify_signature("short", "message", signature));
  EXPECT_FALSE(verify_signature(public_key_of(key), "message", signature.substr(1)));
  EXPECT_FALSE(verify_signature("", "", ""));
}

TEST(Signature, pem_and_back) {
  const auto raw = public_key_of(make_signing_key());
  const auto pem = public_key_to_pem(raw);
  EXPECT_EQ(pem.find("-----BEGIN PUBLIC KEY-----\n"), 0U);
  EXPECT_EQ(public_key_from_pem(pem).value(), raw);
  EXPECT_EQ(public_key_from_pem("nothing").error().code, Code::InvalidArgument);
  // Another kind of key: P-256.
  EXPECT_EQ(public_key_from_pem("-----BEGIN PUBLIC KEY-----\n"
                                "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n"
                                "6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n"
                                "-----END PUBLIC KEY-----\n")
                .error()
                .code,
            Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::crypto

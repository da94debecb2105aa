#include "crypto/password.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::crypto {
namespace {

constexpr DerivationCost kCheap{1, 64};
const std::string kSalt(kSaltBytes, 's');

std::string derived(std::string_view passphrase, std::string_view salt, DerivationCost cost) {
  return to_hex(derive_key(SecureBytes::copy_of(passphrase), salt, cost).value().view());
}

TEST(Password, agrees_with_the_reference_program) {
  // printf password | argon2 somesalt12345678 -id -t 2 -k 256 -p 1 -l 32 -r, of the package argon2
  EXPECT_EQ(derived("password", "somesalt12345678", {2, 256}),
            "8110e1165eb0e1114ee37d5ff017573ba0084b8366b4108db44749954b8d9871");
}

TEST(Password, every_part_counts) {
  const auto one = derived("passphrase", kSalt, kCheap);
  EXPECT_EQ(derived("passphrase", kSalt, kCheap), one);
  EXPECT_NE(derived("passphrasE", kSalt, kCheap), one);
  EXPECT_NE(derived("passphrase", std::string(kSaltBytes, 't'), kCheap), one);
  EXPECT_NE(derived("passphrase", kSalt, {2, 64}), one);
  EXPECT_NE(derived("passphrase", kSalt, {1, 128}), one);
}

TEST(Password, costs_and_salts_out_of_bounds_are_refused) {
  const auto passphrase = SecureBytes::copy_of("passphrase");
  for (const DerivationCost cost :
       {DerivationCost{0, 64}, DerivationCost{65, 64}, DerivationCost{1, 7}, DerivationCost{1, (4U << 20) + 1}}) {
    EXPECT_EQ(derive_key(passphrase, kSalt, cost).error().code, Code::InvalidArgument);
  }
  EXPECT_EQ(derive_key(passphrase, "short", kCheap).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::crypto

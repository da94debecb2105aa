#include "crypto/xts.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

#include "base/text.h"

namespace cofferdam::crypto {
namespace {

// IEEE 1619-2007, annex B, vector 10: the first 32 and the last 16 of its 512 bytes.
TEST(Xts, is_what_the_standard_says) {
  const auto key = SecureBytes::copy_of(
      from_hex(
          "27182818284590452353602874713526624977572470936999595749669676273141592653589793238462643383279502884197"
          "169399375105820974944592")
          .value());
  std::string sector(kXtsSector, '\0');
  for (std::size_t i = 0; i < sector.size(); ++i) sector[i] = static_cast<char>(i % 256);
  Xts(key, Xts::Direction::encrypt).apply(0xff, sector);
  EXPECT_EQ(to_hex(sector.substr(0, 32)), "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b");
  EXPECT_EQ(to_hex(sector.substr(496)), "c4f36ffda9fcea70b9c6e693e148c151");
}

TEST(Xts, each_sector_has_a_number_of_its_own) {
  const SecureBytes key = SecureBytes::copy_of(std::string(32, 'a') + std::string(32, 'b'));
  Xts cipher(key, Xts::Direction::encrypt);
  std::string two(2 * kXtsSector, 'x');
  cipher.apply(7, two);
  EXPECT_NE(two.substr(0, kXtsSector), two.substr(kXtsSector));
  std::string second(kXtsSector, 'x');
  cipher.apply(8, second);
  EXPECT_EQ(two.substr(kXtsSector), second);
  Xts(key, Xts::Direction::decrypt).apply(7, two);
  EXPECT_EQ(two, std::string(2 * kXtsSector, 'x'));
}

}  // namespace
}  // namespace cofferdam::crypto

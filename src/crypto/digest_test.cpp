#include "crypto/digest.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::crypto {
namespace {

// FIPS 180-4's own examples.
constexpr auto kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr auto kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256, published_examples) {
  EXPECT_EQ(sha256_hex(""), kEmpty);
  EXPECT_EQ(sha256_hex("abc"), kAbc);
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, pieces_give_the_digest_of_the_whole) {
  Sha256 sum;
  sum.update("a");
  sum.update("");
  Sha256 moved = std::move(sum);
  moved.update("bc");
  EXPECT_EQ(moved.hex(), kAbc);
}

TEST(Sha256, file_gives_the_digest_of_its_bytes) {
  const std::string path = cat("/tmp/digest-test-", to_hex(random_bytes(6)));
  const std::string bytes = random_bytes(700001);
  ASSERT_TRUE(write_file_atomically(path, bytes));
  const auto digest = sha256_file_hex(path);
  std::remove(path.c_str());
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(*digest, sha256_hex(bytes));
}

TEST(Sha256, missing_file_is_not_found_and_named) {
  const auto digest = sha256_file_hex("/nonexistent/file");
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code, Code::NotFound);
  EXPECT_NE(digest.error().message.find("/nonexistent/file"), std::string::npos);
}

TEST(Sha256, folder_is_an_error) { EXPECT_FALSE(sha256_file_hex("/tmp")); }

}  // namespace
}  // namespace cofferdam::crypto

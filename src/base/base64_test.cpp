#include "base/base64.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace cofferdam {
namespace {

TEST(Base64, the_rfcs_examples) {
  const std::pair<const char*, const char*> cases[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : cases) {
    EXPECT_EQ(to_base64(bytes), text);
    EXPECT_EQ(from_base64(text).value(), bytes);
  }
}

TEST(Base64, every_byte_comes_back) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
}

TEST(Base64, what_is_no_canonical_text_is_refused) {
  for (const char* text : {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm-v", " Zm9"}) {
    EXPECT_FALSE(from_base64(text)) << text;
  }
}

TEST(Utf8, what_is_none_becomes_the_replacement) {
  EXPECT_TRUE(is_utf8("gr\xc3\xbc\xc3\x9f"));
  EXPECT_FALSE(is_utf8("\xff"));
  EXPECT_EQ(to_utf8("a\xffz"), "a\xef\xbf\xbdz");
}

}  // namespace
}  // namespace cofferdam

#include "identity/token_text.h"

#include <gtest/gtest.h>

#include <set>

namespace cofferdam::identity {
namespace {

TEST(TokenText, says_its_kind_and_has_256_random_bits) {
  const auto control = new_token_text(TokenKind::control);
  const auto runtime = new_token_text(TokenKind::runtime);
  EXPECT_EQ(control.rfind("cof_ctl_", 0), 0U);
  EXPECT_EQ(runtime.rfind("cof_rt_", 0), 0U);
  EXPECT_EQ(control.size(), 8U + 43 + 6);
  EXPECT_EQ(parse_token_text(control).value(), TokenKind::control);
  EXPECT_EQ(parse_token_text(runtime).value(), TokenKind::runtime);
}

TEST(TokenText, no_two_are_alike) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(new_token_text(TokenKind::runtime));
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(TokenText, every_flipped_bit_is_refused) {
  const auto text = new_token_text(TokenKind::control);
  for (std::size_t i = 0; i < text.size() * 8; ++i) {
    auto changed = text;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    EXPECT_EQ(parse_token_text(changed).error().code, Code::Unauthenticated) << i;
  }
}

TEST(TokenText, every_cut_and_any_surplus_is_refused) {
  const auto text = new_token_text(TokenKind::runtime);
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_token_text(text.substr(0, size))) << size;
  for (const auto& more : {text + "0", text + " ", " " + text, text + text, text + std::string(1, '\0')}) {
    EXPECT_FALSE(parse_token_text(more));
  }
}

TEST(TokenText, the_prefix_is_part_of_the_checksum) {
  auto text = new_token_text(TokenKind::runtime);
  EXPECT_FALSE(parse_token_text("cof_ctl_" + text.substr(7)));
}

TEST(TokenText, an_error_does_not_repeat_the_token) {
  auto text = new_token_text(TokenKind::control);
  text.back() = text.back() == '0' ? '1' : '0';
  const auto error = parse_token_text(text).error();
  EXPECT_EQ((error.message + error.hint).find(text.substr(8, 20)), std::string::npos);
}

TEST(TokenText, control_credentials_are_recognised_wherever_they_stand) {
  const auto control = new_token_text(TokenKind::control);
  EXPECT_TRUE(looks_like_control_token(control));
  EXPECT_TRUE(looks_like_control_token("Authorization: Bearer " + control + "\n"));
  EXPECT_TRUE(looks_like_control_token(control.substr(0, 30)));
  EXPECT_TRUE(looks_like_control_token("cof_ctl_x " + control));
  EXPECT_TRUE(looks_like_control_token(new_client_secret()));
}

TEST(TokenText, what_may_be_inside_a_workspace_is_not_taken_for_a_control_token) {
  EXPECT_FALSE(looks_like_control_token(new_token_text(TokenKind::runtime)));
  EXPECT_FALSE(looks_like_control_token(""));
  EXPECT_FALSE(looks_like_control_token("cof_ctl_"));
  EXPECT_FALSE(looks_like_control_token("tokens begin with cof_ctl_ or cof_rt_"));
}

}  // namespace
}  // namespace cofferdam::identity

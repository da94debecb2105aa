#include "runtime/text_search.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::runtime {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const LineMatcher> matcher(const std::string& query, Syntax syntax = Syntax::regular,
                                           Letters letters = Letters::as_they_are, Words words = Words::parts_too) {
  auto made = LineMatcher::make(query, syntax, letters, words);
  EXPECT_TRUE(made) << made.error().message;
  return made.value_or(nullptr);
}

LineSearch search(std::size_t most = 100, std::size_t context = 0) {
  return {most, context, std::chrono::steady_clock::now() + 10s};
}

// "3:12" of a match, "4" of a line beside one.
std::string told(const LineMatcher& with, const std::string& content, const LineSearch& how) {
  std::string text;
  const auto found = search_lines(with, content, how).value();
  for (const auto& line : found) {
    text += cat(text.empty() ? "" : " ", line.number, line.column ? cat(":", *line.column) : "");
  }
  return text;
}

TEST(TextSearch, plain_text_is_no_expression) {
  const auto plain = matcher("a.b(", Syntax::plain);
  EXPECT_EQ(told(*plain, "axb(\nxa.b(\n", search()), "2:2");
  EXPECT_EQ(told(*matcher("NEEDLE", Syntax::plain, Letters::in_either_case), "a needle\n", search()), "1:3");
  EXPECT_EQ(told(*matcher("need", Syntax::plain, Letters::as_they_are, Words::whole), "needle\nneed it", search()),
            "2:1");
}

TEST(TextSearch, expressions_match_within_lines) {
  EXPECT_EQ(told(*matcher("^f.*o$"), "foo\r\nfooo\nxfoo\n", search()), "1:1 2:1");
  EXPECT_EQ(told(*matcher("[0-9]{3}"), "12\nab 345\n", search()), "2:4");
  EXPECT_EQ(told(*matcher("a\nb"), "a\nb\n", search()), "");
  EXPECT_EQ(told(*matcher("héllo", Syntax::regular, Letters::in_either_case), "HÉLLO", search()), "1:1");
}

TEST(TextSearch, lines_beside_matches_are_told_once) {
  const std::string text = "1\n2 x\n3\n4 x\n5\n6\n7\n8 x";
  EXPECT_EQ(told(*matcher("x"), text, search(100, 1)), "1 2:3 3 4:3 5 7 8:3");
  EXPECT_EQ(told(*matcher("x"), text, search(1, 1)), "1 2:3 3");
  EXPECT_EQ(told(*matcher("x"), text, search(2, 0)), "2:3 4:3");
}

TEST(TextSearch, what_is_no_expression_or_too_large_a_one_is_refused) {
  for (const std::string wrong : {"(", "a{1001}", "(?=look)", "\\1", "((((((((a{100}){100}){100}){100}))))"}) {
    const auto made = LineMatcher::make(wrong, Syntax::regular, Letters::as_they_are, Words::parts_too);
    ASSERT_FALSE(made) << wrong;
    EXPECT_EQ(made.error().code, Code::InvalidArgument);
  }
}

TEST(TextSearch, a_hostile_expression_over_a_hostile_text_ends) {
  const auto evil = matcher("(a|a|aa)*(a|b)*c$");
  EXPECT_EQ(told(*evil, std::string(60'000, 'a') + "\n" + std::string(60'000, 'b'), search()), "");
}

TEST(TextSearch, of_a_long_line_the_beginning_is_looked_at_and_told) {
  const std::string line = std::string(kMaxSearchedLine, 'x') + "needle";
  EXPECT_EQ(told(*matcher("needle"), line, search()), "");
  const auto found = search_lines(*matcher("x"), line, search()).value();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text.size(), kMaxTold);
}

TEST(TextSearch, a_deadline_that_has_passed_ends_it) {
  LineSearch late = search();
  late.deadline = std::chrono::steady_clock::now() - 1s;
  EXPECT_EQ(search_lines(*matcher("x"), "x\n", late).error().code, Code::DeadlineExceeded);
}

}  // namespace
}  // namespace cofferdam::runtime

#include "guest/glob.h"

#include <gtest/gtest.h>

namespace cofferdam::guest {
namespace {

TEST(Glob, stars_questions_sets_and_escapes) {
  EXPECT_TRUE(glob_matches("*.o", "main.o"));
  EXPECT_TRUE(glob_matches("*.o", ".o"));
  EXPECT_FALSE(glob_matches("*.o", "main.os"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(glob_matches("a*b*c", "aXcYb"));
  EXPECT_TRUE(glob_matches("?a", "ba"));
  EXPECT_FALSE(glob_matches("?a", "a"));
  EXPECT_TRUE(glob_matches("[a-c]x", "bx"));
  EXPECT_FALSE(glob_matches("[!a-c]x", "bx"));
  EXPECT_TRUE(glob_matches("[]]", "]"));
  EXPECT_TRUE(glob_matches("[ab", "[ab"));
  EXPECT_TRUE(glob_matches("\\*", "*"));
  EXPECT_FALSE(glob_matches("\\*", "a"));
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_TRUE(glob_matches("**", ""));
  EXPECT_FALSE(glob_matches("", "a"));
}

TEST(Glob, a_pattern_made_to_take_long_ends) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(250, 'a')));
}

TEST(Excludes, a_name_fits_at_any_depth_and_a_path_only_where_it_is) {
  const auto excludes = Excludes::create({"node_modules", "*.o", "build/out", "/top"});
  ASSERT_TRUE(excludes);
  EXPECT_TRUE(excludes->fits("a/b/node_modules", "node_modules"));
  EXPECT_TRUE(excludes->fits("a/x.o", "x.o"));
  EXPECT_TRUE(excludes->fits("build/out", "out"));
  EXPECT_FALSE(excludes->fits("a/build/out", "out"));
  EXPECT_TRUE(excludes->fits("top", "top"));
  EXPECT_FALSE(excludes->fits("a/top", "top"));
}

TEST(Excludes, an_empty_pattern_is_refused) {
  EXPECT_EQ(Excludes::create({""}).error().code, Code::InvalidArgument);
  EXPECT_EQ(Excludes::create({"/"}).error().code, Code::InvalidArgument);
  EXPECT_EQ(Excludes::create({std::string("a\0b", 3)}).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::guest

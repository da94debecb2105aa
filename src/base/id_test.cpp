#include "base/id.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace cofferdam {
namespace {

TEST(Id, has_its_form_and_differs) {
  const auto a = new_id("ws");
  const auto b = new_id("ws");
  EXPECT_NE(a, b);
  EXPECT_TRUE(is_id(a, "ws")) << a;
  EXPECT_FALSE(is_id(a, "tk"));
  EXPECT_FALSE(is_id("ws_../../../../../../etc/passw", "ws"));
  EXPECT_FALSE(is_id("ws_", "ws"));
}

TEST(Id, none_of_many_is_the_same) {
  std::set<std::string> seen;
  constexpr std::size_t kMany = 500;
  for (std::size_t i = 0; i < kMany; ++i) seen.insert(new_id("req"));
  EXPECT_EQ(seen.size(), kMany);
}

TEST(Id, they_sort_as_they_were_made) {
  std::string last = new_id("rcp");
  for (int i = 0; i < 20'000; ++i) {
    auto next = new_id("rcp");
    ASSERT_LT(last, next);
    last = std::move(next);
  }
}

}  // namespace
}  // namespace cofferdam

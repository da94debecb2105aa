#include "base/id.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace cofferdam

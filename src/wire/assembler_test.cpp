#include "wire/assembler.h"

#include <gtest/gtest.h>

#include "wire/message.h"

namespace cofferdam::wire {
namespace {

FrameView part(std::uint32_t stream, std::uint8_t flags, std::string_view payload) {
  return {FrameType::Request, flags, stream, payload};
}

TEST(Assembler, one_frame_is_a_whole_message) {
  Assembler assembler;
  EXPECT_EQ(**assembler.add(part(1, 0, "abc")), "abc");
}

TEST(Assembler, parts_of_two_streams_may_alternate) {
  Assembler assembler;
  EXPECT_FALSE(*assembler.add(part(1, kFlagMore, "a")));
  EXPECT_FALSE(*assembler.add(part(2, kFlagMore, "x")));
  EXPECT_FALSE(*assembler.add(part(1, kFlagMore, "b")));
  EXPECT_EQ(**assembler.add(part(2, 0, "y")), "xy");
  EXPECT_EQ(**assembler.add(part(1, 0, "c")), "abc");
}

TEST(Assembler, a_message_over_the_bound_is_refused_and_forgotten) {
  Assembler assembler;
  const std::string chunk(kMaxPayload, 'x');
  for (std::size_t sent = 0; sent < kMaxMessage; sent += chunk.size()) {
    ASSERT_TRUE(assembler.add(part(1, kFlagMore, chunk)));
  }
  const auto over = assembler.add(part(1, kFlagMore, chunk));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::ResourceExhausted);
  EXPECT_EQ(**assembler.add(part(1, 0, "new")), "new");
}

TEST(Assembler, too_many_unfinished_messages_are_refused) {
  Assembler assembler;
  for (std::uint32_t stream = 0; stream < Assembler::kMaxUnfinished; ++stream) {
    ASSERT_TRUE(assembler.add(part(stream, kFlagMore, "a")));
  }
  EXPECT_FALSE(assembler.add(part(99, kFlagMore, "a")));
  assembler.clear();
  EXPECT_TRUE(assembler.add(part(99, kFlagMore, "a")));
}

}  // namespace
}  // namespace cofferdam::wire

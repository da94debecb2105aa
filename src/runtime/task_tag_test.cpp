#include "runtime/task_tag.h"

#include <gtest/gtest.h>

#include "model/workspace_spec.h"

namespace cofferdam::runtime {
namespace {

using namespace std::chrono_literals;

TEST(TaskTag, what_is_written_is_read_again) {
  TaskTag tag;
  tag.number = 7;
  tag.command = {"make", "-j2", "all \"quoted\""};
  tag.created_at = std::chrono::system_clock::time_point(1'700'000'000'123ms);
  tag.ttl = 90s;
  tag.keep_logs = true;
  tag.takes_input = true;
  const auto read = parse_task_tag(task_tag_text(tag)).value();
  EXPECT_EQ(read.number, 7U);
  EXPECT_EQ(read.command, tag.command);
  EXPECT_EQ(read.created_at, tag.created_at);
  EXPECT_EQ(read.ttl, tag.ttl);
  EXPECT_TRUE(read.keep_logs && read.takes_input);
}

TEST(TaskTag, a_long_or_binary_command_still_fits) {
  TaskTag tag;
  tag.number = 1;
  tag.command = {std::string(500, '\1'), std::string(500, '\xff')};
  const auto text = task_tag_text(tag);
  EXPECT_LE(text.size(), model::kMaxExecTag);
  EXPECT_TRUE(parse_task_tag(text));
  tag.command.assign(4000, "x");
  EXPECT_LE(task_tag_text(tag).size(), model::kMaxExecTag);
}

TEST(TaskTag, what_a_guest_makes_up_is_refused) {
  for (const char* text :
       {"", "1", "{}", "{\"n\":-1}", "{\"n\":1,\"t\":1}", "{\"n\":1,\"t\":1e300,\"c\":[]}",
        "{\"n\":1,\"t\":170000000010001,\"c\":[]}", "{\"n\":1,\"t\":1,\"c\":[1]}", "{\"n\":1,\"t\":1,\"c\":\"x\"}"}) {
    EXPECT_FALSE(parse_task_tag(text)) << text;
  }
  EXPECT_FALSE(parse_task_tag(std::string(model::kMaxExecTag + 1, ' ')));
}

}  // namespace
}  // namespace cofferdam::runtime

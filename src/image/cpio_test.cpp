#include "image/cpio.h"

#include <gmock/gmock.h>

#include <chrono>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::image {
namespace {

using ::testing::HasSubstr;

std::string sample() {
  std::string out;
  CpioWriter cpio(out);
  cpio.directory("dev", 0755);
  cpio.character_device("dev/console", 0600, 5, 1);
  cpio.file("init", 0755, "#!/bin/sh\n");
  cpio.file("empty", 0644, "");
  cpio.finish();
  return out;
}

RunOptions fed(std::vector<std::string> argv, std::string input) {
  RunOptions options;
  options.argv = std::move(argv);
  options.input = std::move(input);
  return options;
}

TEST(CpioWriter, same_calls_same_bytes_in_whole_words) {
  EXPECT_EQ(sample(), sample());
  EXPECT_EQ(sample().size() % 4, 0U);
}

// An independent reader must see what was written: busybox has its own cpio.
TEST(CpioWriter, busybox_reads_the_members_back) {
  const std::string folder = cat("/tmp/cpio-test-", to_hex(random_bytes(6)));
  ASSERT_TRUE(make_directories(folder));
  const auto listed = run(fed({"busybox", "cpio", "-tv"}, sample()));
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->status, 0) << listed->err;
  EXPECT_THAT(listed->out, HasSubstr("drwxr-xr-x"));
  EXPECT_THAT(listed->out, HasSubstr("crw-------"));
  EXPECT_THAT(listed->out, HasSubstr("dev/console"));
  const auto unpacked = run(fed({"env", "-C", folder, "busybox", "cpio", "-i", "init", "empty"}, sample()));
  ASSERT_TRUE(unpacked) << unpacked.error().message;
  EXPECT_EQ(unpacked->status, 0) << unpacked->err;
  EXPECT_EQ(read_file(folder + "/init", 100).value_or("?"), "#!/bin/sh\n");
  EXPECT_EQ(read_file(folder + "/empty", 100).value_or("?"), "");
  EXPECT_TRUE(remove_tree(folder));
}

}  // namespace
}  // namespace cofferdam::image

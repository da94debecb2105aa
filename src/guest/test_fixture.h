// What the tests of the agent's services share: the real agent, a scratch folder, and the streams it sends.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "base/text.h"
#include "guest/test_host.h"

namespace cofferdam::guest {

class AgentTest : public testing::Test {
 protected:
  // `program` is the agent's.
  explicit AgentTest(const std::string& program) : host_(program) {}

  void SetUp() override { set_up_below("/tmp"); }
  void set_up_below(const std::string& folder) {
    std::string pattern = folder + "/guest_test.XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    ASSERT_TRUE(host_.connect());
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  // A path in the scratch folder.
  [[nodiscard]] std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void make(const std::string& name) const { ASSERT_TRUE(make_directories(at(name), 0755)); }
  void put(const std::string& name, const std::string& bytes = "x") const {
    const auto file = open_file(at(name), O_WRONLY | O_CREAT | O_APPEND, 0644);
    ASSERT_TRUE(file);
    ASSERT_TRUE(write_all(file->get(), bytes));
  }
  // More entries than a walk's pipe and one of its batches hold.
  void put_crowd() const {
    const std::string name(200, 'n');
    for (int i = 0; i < 800; ++i) put(cat(name, i), "");
  }
  // What the host says when it is done with a stream.
  void close(std::uint32_t stream) { host_.queue().push_exit(stream, {}); }
  // All that was sent before has been taken by the agent.
  [[nodiscard]] bool ping() { return host_.call<wire::Empty>(wire::Op::Ping, wire::Empty{}).has_value(); }

  TestHost host_;
  std::string folder_;
};

}  // namespace cofferdam::guest

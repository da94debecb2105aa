// Answers that go on, and what opened them.
#include "api/open_streams.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <memory>

namespace cofferdam::api {
namespace {

class Lines final : public http::BodySource {
 public:
  loop::Task<std::string> next() override { co_return std::string("a line\n"); }
};

class OpenStreamsTest : public testing::Test {
 protected:
  static identity::Principal token(const std::string& id) {
    identity::Principal who;
    who.kind = identity::Principal::Kind::token;
    who.id = id;
    return who;
  }
  static http::Response stream() {
    http::Response response;
    response.source = std::make_unique<Lines>();
    return response;
  }
  void end(const std::string& id) {
    identity::Ended ended;
    ended.principal_id = id;
    revocations_.announce(ended);
  }
  loop::asio::io_context io_;
  identity::Revocations revocations_;
  OpenStreams streams_{io_.get_executor(), revocations_};
};

TEST_F(OpenStreamsTest, a_stream_whose_credential_ended_while_its_answer_was_made_is_not_opened) {
  const auto before = streams_.now();
  end("tok_1");
  const auto refused = streams_.guard(stream(), token("tok_1"), before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unauthenticated);
  EXPECT_EQ(streams_.size(), 0U);
  {
    const auto others = streams_.guard(stream(), token("tok_2"), before);
    EXPECT_TRUE(others);
    EXPECT_EQ(streams_.size(), 1U);
  }
  EXPECT_TRUE(streams_.guard(stream(), token("tok_1"), streams_.now()));  // let in since: it is another's by that name
  EXPECT_TRUE(streams_.guard(http::Response{}, token("tok_1"), before));  // over with its answer
}

TEST_F(OpenStreamsTest, a_visit_of_a_port_that_was_closed_meanwhile_is_not_opened) {
  const auto before = streams_.now();
  streams_.end_visits("slug");
  EXPECT_FALSE(streams_.guard(stream(), OpenStreams::Visit{"slug"}, before));
  EXPECT_TRUE(streams_.guard(stream(), OpenStreams::Visit{"other"}, before));
}

TEST_F(OpenStreamsTest, what_nobody_remembers_is_taken_to_have_ended) {
  const auto before = streams_.now();
  for (int i = 0; i < 2000; ++i) end("tok_" + std::to_string(i));
  EXPECT_FALSE(streams_.guard(stream(), token("somebody"), before));
}

}  // namespace
}  // namespace cofferdam::api

#include "http/url.h"

#include <gtest/gtest.h>

#include "http/message.h"

namespace cofferdam::http {
namespace {

TEST(Target, is_split_and_decoded) {
  const auto target = parse_target("/workspace/a%20b/files%2Fraw?path=%2Fetc%2Fhosts&x&y=1+2&x=3").value();
  EXPECT_EQ(target.segments, (std::vector<std::string>{"workspace", "a b", "files/raw"}));
  const std::vector<std::pair<std::string, std::string>> query{
      {"path", "/etc/hosts"}, {"x", ""}, {"y", "1 2"}, {"x", "3"}};
  EXPECT_EQ(target.query, query);
}

TEST(Target, the_root_and_a_trailing_slash) {
  EXPECT_TRUE(parse_target("/")->segments.empty());
  EXPECT_EQ(parse_target("/a/")->segments, std::vector<std::string>{"a"});
  EXPECT_EQ(parse_target("/a?")->query.size(), 0U);
}

TEST(Target, what_is_not_strict_is_refused) {
  for (const std::string bad : {"", "a", "*", "http://x/", "//", "/a//b", "/%", "/%1", "/%zz", "/%00", "/a/../b",
                                "/./a", "/%2e%2E/a", "/a b", "/a#b", "/a?x=%0", "/a?x=%00", "/\x7f", "/\xc3\xa4"}) {
    EXPECT_FALSE(parse_target(bad)) << bad;
  }
  EXPECT_FALSE(parse_target("/" + std::string(9000, 'a')));
  std::string deep;
  for (int i = 0; i < 65; ++i) deep += "/a";
  EXPECT_FALSE(parse_target(deep));
  std::string many = "/?a";
  for (int i = 0; i < 65; ++i) many += "&a";
  EXPECT_FALSE(parse_target(many));
}

TEST(Query, keeps_repeated_names_and_their_order) {
  const QueryItems wanted{{"a", "1"}, {"b", ""}, {"a", "x=y"}, {"", "z"}, {"a", "+ &"}};
  EXPECT_EQ(parse_query("a=1&&b&a=x=y&=z&a=%2B+%26&").value(), wanted);
  EXPECT_TRUE(parse_query("")->empty());
  Request request;
  request.query = wanted;
  EXPECT_EQ(request.query_values("a"), (std::vector<std::string_view>{"1", "x=y", "+ &"}));
  EXPECT_TRUE(request.query_values("c").empty());
}

TEST(Query, is_decoded_once) {
  EXPECT_EQ(parse_query("a=%2541").value(), (QueryItems{{"a", "%41"}}));
  EXPECT_EQ(parse_target("/%252e%252e")->segments, std::vector<std::string>{"%2e%2e"});
}

TEST(Query, what_is_not_strict_is_refused) {
  for (const std::string bad : {"a=%", "a=%4", "a=%4g", "%=1", "a=%00", "%00", "a=1&b=%zz"}) {
    EXPECT_FALSE(parse_query(bad)) << bad;
  }
}

TEST(Percent, encoding_and_decoding_are_inverse) {
  std::string all;
  for (int c = 1; c < 256; ++c) all.push_back(static_cast<char>(c));
  EXPECT_EQ(percent_decode(percent_encode(all)).value(), all);
  EXPECT_EQ(percent_encode("a/b c~"), "a%2Fb%20c~");
}

}  // namespace
}  // namespace cofferdam::http

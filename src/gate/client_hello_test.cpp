#include "gate/client_hello.h"

#include <gtest/gtest.h>

#include "gate/hello_maker.h"

namespace cofferdam::gate {
namespace {

HelloState parse(const std::string& bytes, ClientHello& out) { return parse_client_hello(as_bytes(bytes), out); }

TEST(ClientHello, the_server_name_is_read) {
  ClientHello hello;
  ASSERT_EQ(parse(one_record(hello_message({sni_extension("PyPI.org")})), hello), HelloState::done);
  EXPECT_EQ(hello.server_name, "pypi.org");
  EXPECT_EQ(hello.ech, ClientHello::Ech::no);
}

TEST(ClientHello, none_is_no_error) {
  ClientHello hello;
  EXPECT_EQ(parse(one_record(hello_message({})), hello), HelloState::done);
  EXPECT_EQ(hello.server_name, "");
  EXPECT_EQ(parse(one_record(hello_without_extensions()), hello), HelloState::done);
  EXPECT_EQ(hello.server_name, "");
}

TEST(ClientHello, a_hidden_name_is_seen_to_be_hidden) {
  for (const unsigned type : {0xfe0dU, 0xfe08U, 0xffceU}) {
    ClientHello hello;
    const auto bytes = one_record(hello_message({sni_extension("public.example"), extension(type, "\0secret")}));
    ASSERT_EQ(parse(bytes, hello), HelloState::done);
    EXPECT_EQ(hello.ech, ClientHello::Ech::yes) << type;
    EXPECT_EQ(hello.server_name, "public.example");
  }
}

TEST(ClientHello, every_way_to_cut_it_waits_for_more) {
  const auto bytes = one_record(hello_message({extension(43, "\2\3\4"), sni_extension("pypi.org")}));
  ClientHello hello;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(parse(bytes.substr(0, n), hello), HelloState::more) << n;
    EXPECT_EQ(hello.server_name, "") << n;
  }
  EXPECT_EQ(parse(bytes, hello), HelloState::done);
}

TEST(ClientHello, it_may_lie_in_several_records) {
  const auto message = hello_message({sni_extension("pypi.org")});
  for (const std::size_t piece : {2U, 3U, 7U, 50U}) {
    ClientHello hello;
    EXPECT_EQ(parse(records(message, piece), hello), HelloState::done) << piece;
    EXPECT_EQ(hello.server_name, "pypi.org") << piece;
  }
  ClientHello hello;
  EXPECT_EQ(parse(records(message, 1), hello), HelloState::bad);  // more records than anybody needs
}

TEST(ClientHello, what_follows_in_the_same_segment_is_left_alone) {
  ClientHello hello;
  const auto early =
      one_record(hello_message({sni_extension("pypi.org")})) + std::string("\x14\x03\x03\x00\x01\x01 early data", 17);
  EXPECT_EQ(parse(early, hello), HelloState::done);
  EXPECT_EQ(hello.server_name, "pypi.org");
}

TEST(ClientHello, two_names_are_refused) {
  ClientHello hello;
  EXPECT_EQ(parse(one_record(hello_message({sni_extension("a.example"), sni_extension("b.example")})), hello),
            HelloState::bad);
  const auto entry = [](const std::string& name) { return std::string("\0", 1) + with_length(2, name); };
  EXPECT_EQ(
      parse(one_record(hello_message({extension(0, with_length(2, entry("a.example") + entry("b.example")))})), hello),
      HelloState::bad);
}

TEST(ClientHello, a_name_that_is_none_is_refused) {
  for (const std::string& name : {std::string("a.example."), std::string("a b"), std::string("a\0b", 3),
                                  std::string(254, 'a'), std::string("[::1]"), std::string()}) {
    ClientHello hello;
    EXPECT_EQ(parse(one_record(hello_message({sni_extension(name)})), hello), HelloState::bad) << name;
  }
}

TEST(ClientHello, other_records_and_other_messages_are_refused) {
  ClientHello hello;
  const auto message = hello_message({sni_extension("pypi.org")});
  EXPECT_EQ(parse("\x15\x03\x01", hello), HelloState::bad);
  EXPECT_EQ(parse("\x16\x02", hello), HelloState::bad);
  EXPECT_EQ(parse(std::string("\x16\x03\x01\0\0", 5), hello), HelloState::bad);
  EXPECT_EQ(parse("\x16\x03\x01\xff\xff", hello), HelloState::bad);
  EXPECT_EQ(parse(one_record("\2" + message.substr(1)), hello), HelloState::bad);  // a ServerHello
  EXPECT_EQ(parse(one_record(message + message), hello), HelloState::bad);         // two in one record
  EXPECT_EQ(parse(records(message, 30).insert(35, "\x14\x03\x03\0\1\1"), hello), HelloState::bad);
}

TEST(ClientHello, lengths_that_lie_are_refused) {
  const auto good = hello_message({sni_extension("pypi.org")});
  int refused = 0;
  for (std::size_t i = 4; i < good.size(); ++i) {
    auto changed = good;
    changed[i] = '\xff';
    ClientHello hello;
    const auto state = parse(one_record(changed), hello);
    EXPECT_NE(state, HelloState::more) << i;
    refused += state == HelloState::bad ? 1 : 0;
  }
  EXPECT_GT(refused, 10);
  ClientHello hello;
  EXPECT_EQ(parse(one_record(std::string("\1\1\0\0", 4)), hello), HelloState::bad);  // a message of 64 KiB is announced
}

}  // namespace
}  // namespace cofferdam::gate

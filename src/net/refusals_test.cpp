#include "net/refusals.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace cofferdam::net {
namespace {

// IPv4, TCP from 10.212.0.1 port 4000 to 169.254.169.254 port 80, as a netlink message of the kernel's.
std::string message(std::string packet) {
  const auto put = [](std::string& out, std::uint32_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(number >> (8 * i)));
  };
  std::string body("\2\0\7\0", 4);
  put(body, static_cast<std::uint32_t>(packet.size() + 4), 2);
  put(body, 9, 2);
  body += packet;
  body.resize((body.size() + 3) / 4 * 4, '\0');
  std::string whole;
  put(whole, static_cast<std::uint32_t>(body.size() + 16), 4);
  put(whole, 4U << 8, 2);
  whole.resize(16, '\0');
  return whole + body;
}

const std::string kTcp("\x45\0\0\x28\0\1\x40\0\x40\6\0\0\x0a\xd4\0\1\xa9\xfe\xa9\xfe\x0f\xa0\0\x50\0\0\0\0", 28);

TEST(Refusals, a_tcp_packet_names_its_destination) {
  const auto flows = read_refusals(message(kTcp));
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(flows[0].address, "169.254.169.254");
  EXPECT_EQ(flows[0].port, 80);
  EXPECT_EQ(flows[0].peer, "tcp");
  EXPECT_EQ(flows[0].event, "refused");
}

TEST(Refusals, several_messages_in_one_read_are_all_heard) {
  EXPECT_EQ(read_refusals(message(kTcp) + message(kTcp)).size(), 2U);
}

TEST(Refusals, a_later_piece_of_a_packet_has_no_port) {
  std::string piece = kTcp;
  piece[7] = '\x10';
  const auto flows = read_refusals(message(piece));
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(flows[0].port, 0);
}

TEST(Refusals, a_header_that_is_cut_or_lies_about_its_length_is_passed_over) {
  EXPECT_TRUE(read_refusals(message(kTcp.substr(0, 19))).empty());
  std::string lie = kTcp;
  lie[0] = '\x42';
  EXPECT_TRUE(read_refusals(message(lie)).empty());
  const auto whole = message(kTcp);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_TRUE(read_refusals(whole.substr(0, length)).empty()) << length;
  }
}

TEST(Refusals, options_before_the_ports_are_stepped_over) {
  std::string options = kTcp.substr(0, 20) + std::string(8, '\1') + kTcp.substr(20);
  options[0] = '\x47';
  const auto flows = read_refusals(message(options));
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(flows[0].port, 80);
}

}  // namespace
}  // namespace cofferdam::net

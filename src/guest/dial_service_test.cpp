// Connections of the real agent to servers on this machine's loopback.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "guest/test_fixture.h"

namespace cofferdam::guest {
namespace {

using wire::Channel;
using wire::Op;

enum class Accepts { no, yes };

// A socket bound to a port of 127.0.0.1 or ::1, which listens or refuses.
class Server {
 public:
  explicit Server(int family = AF_INET, Accepts accepts = Accepts::yes, std::uint16_t port = 0)
      : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) {
      auto& v4 = reinterpret_cast<sockaddr_in&>(address);
      v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      v4.sin_port = htons(port);
    } else {
      auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
      v6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
      v6.sin6_port = htons(port);
    }
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    bound_ = ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0;
    if (accepts == Accepts::yes) bound_ = bound_ && ::listen(fd_.get(), 128) == 0;
  }
  [[nodiscard]] bool bound() const { return bound_; }
  [[nodiscard]] std::uint16_t port() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                                              : reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  }
  [[nodiscard]] UniqueFd accept() const {
    pollfd state{fd_.get(), POLLIN, 0};
    ::poll(&state, 1, 30'000);
    UniqueFd peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    const timeval patience{30, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(peer.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return peer;
  }

 private:
  UniqueFd fd_;
  bool bound_ = false;
};

class DialTest : public AgentTest {
 protected:
  DialTest() : AgentTest(COFFER_GUEST_PROGRAM) {}

  Result<wire::Dialed> dial(std::uint32_t stream, std::uint16_t port) {
    return host_.call_on<wire::Dialed>(stream, Op::Dial, wire::Dial{port});
  }
  Code refusal(std::uint16_t port) {
    const auto dialed = dial(host_.new_stream(), port);
    return dialed ? Code::Unknown : dialed.error().code;
  }
  void send(std::uint32_t stream, const std::string& bytes) {
    host_.queue().push_data(stream, Channel::Stdin, bytes);
    ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  }
  static std::string receive(const UniqueFd& peer, std::size_t most) {
    std::string bytes(most, '\0');
    const ssize_t n = ::recv(peer.get(), bytes.data(), most, MSG_WAITALL);
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return bytes;
  }
};

TEST_F(DialTest, bytes_go_both_ways_and_each_side_ends_on_its_own) {
  const Server server;
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  const UniqueFd peer = server.accept();
  send(stream, "question");
  EXPECT_EQ(receive(peer, 8), "question");
  host_.queue().push_eof(stream, Channel::Stdin);
  ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  EXPECT_EQ(receive(peer, 1), "");
  ASSERT_TRUE(write_all(peer.get(), "answer"));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out == "answer"; }));
  EXPECT_FALSE(host_.log(stream).out_ended);
  ASSERT_EQ(::shutdown(peer.get(), SHUT_WR), 0);
  EXPECT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  EXPECT_FALSE(host_.log(stream).exit);
}

TEST_F(DialTest, a_server_that_ends_first_still_hears_the_host) {
  const Server server;
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  const UniqueFd peer = server.accept();
  ASSERT_EQ(::shutdown(peer.get(), SHUT_WR), 0);
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  send(stream, "late");
  EXPECT_EQ(receive(peer, 4), "late");
}

TEST_F(DialTest, a_server_on_the_other_loopback_is_found) {
  const Server refuses(AF_INET, Accepts::no);
  const Server server(AF_INET6, Accepts::yes, refuses.port());
  if (!server.bound()) GTEST_SKIP() << "no IPv6 here";
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  const UniqueFd peer = server.accept();
  send(stream, "six");
  EXPECT_EQ(receive(peer, 3), "six");
}

TEST_F(DialTest, a_refused_connection_is_refused_by_name_and_frees_its_stream) {
  const Server refuses(AF_INET, Accepts::no);
  const Server refuses_too(AF_INET6, Accepts::no, refuses.port());
  const auto stream = host_.new_stream();
  const auto dialed = dial(stream, refuses.port());
  ASSERT_FALSE(dialed);
  EXPECT_EQ(dialed.error().code, Code::FailedPrecondition);
  EXPECT_NE(dialed.error().message.find("connection refused"), std::string::npos);
  const Server server;
  EXPECT_TRUE(dial(stream, server.port()));
}

TEST_F(DialTest, port_zero_is_no_port) { EXPECT_EQ(refusal(0), Code::InvalidArgument); }

TEST_F(DialTest, a_server_is_read_only_as_far_as_the_credit) {
  const Server server;
  host_.grant_automatically(false);
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  const UniqueFd peer = server.accept();
  const std::string bytes(400'000, 'b');
  ASSERT_TRUE(write_all(peer.get(), bytes));
  ASSERT_EQ(::shutdown(peer.get(), SHUT_WR), 0);
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.size() == wire::kInitialCredit; }));
  ASSERT_TRUE(ping());
  EXPECT_EQ(host_.log(stream).out.size(), wire::kInitialCredit);
  EXPECT_FALSE(host_.log(stream).out_ended);
  host_.queue().push_credit(stream, {Channel::Stdout, 1U << 20});
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  EXPECT_EQ(host_.log(stream).out, bytes);
}

TEST_F(DialTest, a_server_that_never_reads_holds_its_writer_back_and_nobody_else) {
  const Server server;
  const auto stream = host_.new_stream();
  const auto dialed = dial(stream, server.port());
  ASSERT_TRUE(dialed);
  const UniqueFd peer = server.accept();
  constexpr std::uint64_t kMost = 64U << 20;
  std::uint64_t sent = 0;
  while (sent < kMost) {
    const std::uint64_t allowed = dialed->credit + host_.log(stream).stdin_credit - sent;
    if (allowed == 0) break;
    const auto size = std::min<std::size_t>(allowed, wire::kMaxDataBytes);
    send(stream, std::string(size, 'x'));
    sent += size;
    ASSERT_TRUE(ping());
  }
  EXPECT_LT(sent, kMost);
  std::uint64_t received = 0;
  while (received < sent) {
    const auto size = receive(peer, std::min<std::uint64_t>(sent - received, 1U << 20)).size();
    ASSERT_GT(size, 0U);
    received += size;
    // The agent writes on when there is room.
    host_.run_until([] { return true; });
  }
  EXPECT_TRUE(host_.run_until([&] { return dialed->credit + host_.log(stream).stdin_credit - sent > 0; }));
}

TEST_F(DialTest, a_broken_connection_is_not_told_as_an_end) {
  const Server server;
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  {
    const UniqueFd peer = server.accept();
    const linger reset{1, 0};
    ::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).exit.has_value(); }));
  EXPECT_EQ(host_.log(stream).exit->value, ECONNRESET);
  EXPECT_FALSE(host_.log(stream).out_ended);
}

TEST_F(DialTest, a_server_that_is_gone_is_said_to_its_writer) {
  const Server server;
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  (void)server.accept();
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  EXPECT_TRUE(host_.run_until([&] {
    host_.queue().push_data(stream, Channel::Stdin, "x");
    return host_.log(stream).stdin_refused;
  }));
}

TEST_F(DialTest, what_was_written_before_the_close_still_arrives) {
  const Server server;
  const auto stream = host_.new_stream();
  const auto dialed = dial(stream, server.port());
  ASSERT_TRUE(dialed);
  const UniqueFd peer = server.accept();
  std::string bytes;
  while (bytes.size() + wire::kMaxDataBytes <= dialed->credit) {
    const std::string piece(wire::kMaxDataBytes, static_cast<char>('a' + bytes.size() % 26));
    host_.queue().push_data(stream, Channel::Stdin, piece);
    bytes += piece;
  }
  close(stream);
  ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  EXPECT_EQ(receive(peer, bytes.size()), bytes);
  EXPECT_EQ(receive(peer, 1), "");
}

TEST_F(DialTest, a_connection_over_the_bound_is_refused_until_one_is_closed) {
  const Server server;
  std::vector<std::uint32_t> streams;
  for (std::size_t i = 0; i < wire::kMaxDials; ++i) {
    streams.push_back(host_.new_stream());
    ASSERT_TRUE(dial(streams.back(), server.port()));
  }
  EXPECT_EQ(refusal(server.port()), Code::ResourceExhausted);
  close(streams[10]);
  // It goes when its socket has been shut down, in the loop's next round.
  EXPECT_TRUE(host_.run_until([&] { return dial(host_.new_stream(), server.port()).has_value(); }));
}

TEST_F(DialTest, a_host_that_goes_takes_its_connections_along) {
  const Server server;
  ASSERT_TRUE(dial(host_.new_stream(), server.port()));
  const UniqueFd peer = server.accept();
  ASSERT_TRUE(host_.connect());
  EXPECT_EQ(receive(peer, 1), "");
}

TEST_F(DialTest, a_helper_that_runs_does_not_keep_a_closed_connection_open) {
  put_crowd();
  const Server server;
  const auto stream = host_.new_stream();
  ASSERT_TRUE(dial(stream, server.port()));
  const UniqueFd peer = server.accept();
  host_.grant_automatically(false);
  ASSERT_TRUE(host_.call<wire::Empty>(Op::Walk, wire::Walk{.path = folder_, .credit = 1}));
  close(stream);
  ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  EXPECT_EQ(receive(peer, 1), "");
}

}  // namespace
}  // namespace cofferdam::guest

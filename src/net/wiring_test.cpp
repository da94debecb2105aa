// A workspace's namespace as net/ builds it, and a guest at the other end of its wire. Needs root and iproute2.
#include "net/wiring.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "net/namespace.h"
#include "net/refusals.h"

namespace cofferdam::net {
namespace {

constexpr int kSoonMs = 2000;
constexpr int kSilenceMs = 400;

sockaddr_in name_of(const std::string& address, std::uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &name.sin_addr);
  return name;
}

class WiringTest : public ::testing::Test {
 public:
  WiringTest() {
    command({"ip", "netns", "add", wall_});
    command({"ip", "netns", "add", guest_});
    command({"ip", "-n", wall_, "link", "add", "tap0", "type", "veth", "peer", "name", "eth0", "netns", guest_});
    command({"ip", "-n", wall_, "link", "set", "tap0", "up"});
    command({"ip", "-n", guest_, "link", "set", "eth0", "address", mac_text(pair_.mac)});
    command({"ip", "-n", guest_, "addr", "add", cat(pair_.guest.text(), "/31"), "dev", "eth0"});
    command({"ip", "-n", guest_, "link", "set", "eth0", "up"});
    command({"ip", "-n", guest_, "route", "add", "default", "via", pair_.gateway.text()});
    wall_fd_ = open_file("/run/netns/" + wall_, O_RDONLY).value();
    guest_fd_ = open_file("/run/netns/" + guest_, O_RDONLY).value();
  }
  ~WiringTest() override {
    for (const auto& name : {wall_, guest_}) command({"ip", "netns", "del", name});
  }

  static void command(std::vector<std::string> argv) {
    RunOptions options;
    options.argv = std::move(argv);
    const auto done = run_checked(options);
    EXPECT_TRUE(done) << done.error().message;
  }

  GateSockets build(const Openings& openings) {
    auto sockets = wire_up(wall_fd_, pair_, ruleset(pair_, openings, limits_));
    EXPECT_TRUE(sockets) << sockets.error().message;
    return std::move(*sockets);
  }

  // 0, or the errno that a connection from the guest ends with; ETIMEDOUT: silence.
  int knock(const std::string& address, std::uint16_t port, int wait_ms = kSilenceMs) {
    const auto name = name_of(address, port);
    auto attempt = [&]() -> Result<int> {
      const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) return 0;
      if (errno != EINPROGRESS) return errno;
      pollfd entry{socket.get(), POLLOUT, 0};
      if (::poll(&entry, 1, wait_ms) == 0) return ETIMEDOUT;
      int error = 0;
      socklen_t size = sizeof error;
      ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      return error;
    };
    return inside(guest_fd_, attempt).value();
  }

 protected:
  Pair pair_ = pair_of(77);
  gate::Limits limits_;
  std::string wall_ = cat("cfd-test-", ::getpid(), "-w");
  std::string guest_ = cat("cfd-test-", ::getpid(), "-g");
  UniqueFd wall_fd_, guest_fd_;
};

Openings web() {
  Openings openings;
  openings.targets.push_back({kSynthetic, {{443, 443}, {80, 80}}});
  openings.resolver = Openings::Resolver::open;
  return openings;
}

TEST_F(WiringTest, an_allowed_connection_arrives_with_the_address_it_was_meant_for) {
  const auto sockets = build(web());
  EXPECT_EQ(knock("198.18.3.7", 443, kSoonMs), 0);
  const UniqueFd accepted(::accept4(sockets.relay.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  sockaddr_in name{};
  socklen_t size = sizeof name;
  ASSERT_EQ(::getsockname(accepted.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_EQ(ntohl(name.sin_addr.s_addr), 0xc6120307U);
  EXPECT_EQ(ntohs(name.sin_port), 443);
}

TEST_F(WiringTest, everything_else_is_silence) {
  const auto sockets = build(web());
  for (const auto& [address, port] :
       std::vector<std::pair<std::string, std::uint16_t>>{{"198.18.3.7", 22},
                                                          {"8.8.8.8", 443},
                                                          {"169.254.169.254", 80},
                                                          {pair_.gateway.text(), 22},
                                                          {pair_.gateway.text(), kRelayPort},
                                                          {"127.0.0.1", 443},
                                                          {"10.212.0.1", 443},
                                                          {"255.255.255.255", 443}}) {
    const int error = knock(address, port);
    // What does not even leave the guest (its own loopback) is the guest's own answer.
    EXPECT_TRUE(error == ETIMEDOUT || address == "127.0.0.1" || address == "255.255.255.255")
        << address << " " << error;
  }
}

TEST_F(WiringTest, ports_that_overlap_are_taken_together) {
  Openings openings;
  openings.targets.push_back({kSynthetic, {{443, 443}, {1, 500}, {400, 8080}, {443, 443}}});
  const auto sockets = build(openings);
  EXPECT_EQ(knock("198.18.3.7", 8080, kSoonMs), 0);
  EXPECT_EQ(knock("198.18.3.7", 8081), ETIMEDOUT);
}

TEST_F(WiringTest, of_everything_public_what_lies_inside_is_silent) {
  Openings openings;
  openings.public_targets.push_back({"0.0.0.0/0", {{1, 65535}}});
  const auto sockets = build(openings);
  EXPECT_EQ(knock("8.8.8.8", 4000, kSoonMs), 0);
  for (const char* address : {"10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1"}) {
    EXPECT_EQ(knock(address, 80), ETIMEDOUT) << address;
  }
}

TEST_F(WiringTest, the_resolver_is_heard_over_both_ways_of_asking) {
  const auto sockets = build(web());
  EXPECT_EQ(knock(pair_.gateway.text(), 53, kSoonMs), 0);
  const UniqueFd accepted(::accept4(sockets.names_tcp.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(accepted);
}

TEST_F(WiringTest, when_the_gates_sockets_are_closed_the_answer_is_silence_too) {
  {
    const auto gone = build(web());
  }
  EXPECT_EQ(knock("198.18.3.7", 443), ETIMEDOUT);
  const auto again = build(web());
  EXPECT_EQ(knock("198.18.3.7", 443, kSoonMs), 0);
}

TEST_F(WiringTest, rules_that_open_nothing_close_what_was_open) {
  const auto sockets = build(web());
  EXPECT_EQ(knock("198.18.3.7", 443, kSoonMs), 0);
  ASSERT_TRUE(change_rules(wall_fd_, ruleset(pair_, Openings(), limits_)));
  EXPECT_EQ(knock("198.18.3.7", 443), ETIMEDOUT);
}

TEST_F(WiringTest, another_source_address_or_card_is_not_heard) {
  const auto sockets = build(web());
  command({"ip", "-n", guest_, "addr", "add", "10.212.9.9/32", "dev", "eth0"});
  command({"ip", "-n", guest_, "route", "replace", "198.18.9.0/24", "via", pair_.gateway.text(), "src", "10.212.9.9"});
  EXPECT_EQ(knock("198.18.9.1", 443), ETIMEDOUT);
  EXPECT_EQ(knock("198.18.3.7", 443, kSoonMs), 0);
  command({"ip", "-n", guest_, "link", "set", "eth0", "address", "02:00:00:00:00:99"});
  command({"ip", "-n", guest_, "neigh", "replace", pair_.gateway.text(), "lladdr", "ff:ff:ff:ff:ff:ff", "dev", "eth0"});
  EXPECT_NE(knock("198.18.3.7", 443), 0);
}

TEST_F(WiringTest, a_server_of_the_guests_answers_and_never_begins) {
  Openings openings;
  openings.servers = {{5432, 5432}};
  const auto sockets = build(openings);
  auto listen_inside = [this]() -> Result<UniqueFd> {
    UniqueFd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto name = name_of(pair_.guest.text(), 5432);
    if (::bind(server.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return fail_errno("bind");
    if (::listen(server.get(), 4) != 0) return fail_errno("listen");
    return server;
  };
  const auto server = inside(guest_fd_, listen_inside).value();
  const auto dial = make_dial_sockets(wall_fd_, 2).value();
  const auto connects = [&](const UniqueFd& socket, std::uint16_t port) {
    const auto name = name_of(pair_.guest.text(), port);
    [[maybe_unused]] const int begun = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name);
    pollfd entry{socket.get(), POLLOUT, 0};
    int error = ETIMEDOUT;
    socklen_t size = sizeof error;
    if (::poll(&entry, 1, kSilenceMs) > 0) ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  };
  EXPECT_EQ(connects(dial[0], 5432), 0);
  EXPECT_EQ(connects(dial[1], 5433), ETIMEDOUT);  // the guest's refusal does not come back
  EXPECT_EQ(knock(pair_.gateway.text(), 5432), ETIMEDOUT);
  EXPECT_EQ(knock("198.18.3.7", 443), ETIMEDOUT);
}

TEST_F(WiringTest, refused_packets_are_told) {
  const auto sockets = build(web());
  const auto heard = listen_for_refusals(wall_fd_).value();
  EXPECT_EQ(knock("169.254.169.254", 80), ETIMEDOUT);
  pollfd entry{heard.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&entry, 1, kSoonMs), 1);
  std::string buffer(16384, '\0');
  const auto n = ::recv(heard.get(), buffer.data(), buffer.size(), 0);
  ASSERT_GT(n, 0);
  const auto flows = read_refusals(std::string_view(buffer).substr(0, static_cast<std::size_t>(n)));
  ASSERT_FALSE(flows.empty());
  EXPECT_EQ(flows[0].address, "169.254.169.254");
  EXPECT_EQ(flows[0].port, 80);
}

TEST_F(WiringTest, new_connections_are_limited_in_their_rate) {
  limits_.connections_per_second = 5;
  const auto sockets = build(web());
  int through = 0;
  for (int i = 0; i < 12; ++i) through += knock("198.18.3.7", 443, 60) == 0 ? 1 : 0;
  EXPECT_GE(through, 5);
  EXPECT_LT(through, 12);
}

TEST(Namespaces, the_hosts_own_is_never_entered) {
  const auto own = open_file("/proc/self/ns/net", O_RDONLY).value();
  const auto done = inside(own, []() -> Status { return {}; });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace cofferdam::net

#include "gate/stream_pump.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <random>
#include <string>

#include "base/fd_passing.h"
#include "gate/http_pump.h"

namespace cofferdam::gate {
namespace {

// Left end, the pump's two ends, right end.
struct Line {
  std::pair<UniqueFd, UniqueFd> left = socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
  std::pair<UniqueFd, UniqueFd> right = socket_pair(SOCK_STREAM | SOCK_NONBLOCK).value();
  Readiness in;
  Readiness out;
  PipePool pipes;

  template <class Pump>
  typename Pump::State run(Pump& pump) {
    in.readable = out.writable = true;
    if constexpr (std::is_same_v<Pump, StreamPump>) {
      return pump.pump(left.second.get(), in, right.first.get(), out, 1U << 20, pipes);
    } else {
      return pump.pump(left.second.get(), in, right.first.get(), out, 1U << 20);
    }
  }
  std::size_t send(std::string_view bytes) const {
    const auto n = ::send(left.first.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  }
  [[nodiscard]] std::string receive(std::size_t most) const {
    std::string bytes(most, '\0');
    const auto n = ::recv(right.second.get(), bytes.data(), most, MSG_DONTWAIT);
    bytes.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return bytes;
  }
};

TEST(StreamPump, every_byte_arrives_once_and_in_order_at_any_pace) {
  std::mt19937 random(7);
  std::string wanted(8U << 20, '\0');
  for (auto& c : wanted) c = static_cast<char>(random());
  Line line;
  StreamPump pump;
  std::string got;
  std::size_t sent = 0;
  while (got.size() < wanted.size()) {
    sent += line.send(std::string_view(wanted).substr(sent, random() % 200'000));
    const auto state = line.run(pump);
    ASSERT_NE(state, StreamPump::State::broken);
    ASSERT_NE(state, StreamPump::State::ended);
    got += line.receive(random() % 150'000);
  }
  EXPECT_TRUE(got == wanted);
  EXPECT_EQ(pump.moved(), wanted.size());
  EXPECT_FALSE(pump.holds_bytes());
}

TEST(StreamPump, the_end_is_passed_on_behind_the_last_byte) {
  Line line;
  StreamPump pump;
  line.send("last words");
  line.left.first.reset();
  line.in.hung_up = true;
  EXPECT_EQ(line.run(pump), StreamPump::State::ended);
  EXPECT_EQ(line.receive(100), "last words");
  char byte = 0;
  EXPECT_EQ(::recv(line.right.second.get(), &byte, 1, MSG_DONTWAIT), 0);
}

TEST(StreamPump, what_comes_first_comes_first) {
  Line line;
  StreamPump pump;
  pump.put_first("head ");
  line.send("body");
  line.run(pump);
  EXPECT_EQ(line.receive(100), "head body");
}

TEST(StreamPump, nothing_is_taken_beyond_the_budget) {
  Line line;
  StreamPump pump;
  line.send(std::string(1000, 'x'));
  line.in.readable = line.out.writable = true;
  EXPECT_EQ(pump.pump(line.left.second.get(), line.in, line.right.first.get(), line.out, 10, line.pipes),
            StreamPump::State::paused);
  EXPECT_EQ(pump.taken(), 10U);
  EXPECT_EQ(pump.pump(line.left.second.get(), line.in, line.right.first.get(), line.out, 0, line.pipes),
            StreamPump::State::paused);
  EXPECT_EQ(line.receive(100).size(), 10U);
}

TEST(StreamPump, a_reader_that_is_gone_breaks_it) {
  Line line;
  StreamPump pump;
  line.right.second.reset();
  line.send("x");
  EXPECT_EQ(line.run(pump), StreamPump::State::broken);
}

TEST(HttpPump, right_requests_pass_and_the_first_wrong_one_ends_it) {
  Line line;
  HttpPump pump("a.example", 80, Upgrade::refuse);
  const std::string good = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc";
  pump.put(good.substr(0, 20));
  EXPECT_FALSE(pump.may_send());
  EXPECT_TRUE(pump.in_head());
  line.send(good.substr(20) + good);
  EXPECT_EQ(line.run(pump), StreamPump::State::waiting);
  EXPECT_EQ(line.receive(1000), good + good);
  line.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
  EXPECT_EQ(line.run(pump), StreamPump::State::broken);
  EXPECT_EQ(pump.refused(), FlowReason::host_mismatch);
  EXPECT_EQ(line.receive(1000), "");
}

TEST(HttpPump, behind_an_upgrade_everything_waits_for_the_answer) {
  Line line;
  HttpPump pump("a.example", 80, Upgrade::allow);
  const std::string upgrade = "GET / HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n";
  line.send(upgrade + "frame");
  EXPECT_EQ(line.run(pump), StreamPump::State::waiting);
  EXPECT_EQ(line.receive(1000), upgrade);
  EXPECT_TRUE(pump.waits_for_answer());
  EXPECT_EQ(pump.take_pending(), "frame");
}

}  // namespace
}  // namespace cofferdam::gate

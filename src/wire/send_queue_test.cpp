#include "wire/send_queue.h"

#include <gtest/gtest.h>

#include "wire/assembler.h"

namespace cofferdam::wire {
namespace {

struct Sent {
  FrameType type;
  std::uint32_t stream;
  std::string payload;
};

// Parses everything the queue has to send, written `step` bytes at a time.
std::vector<Sent> drain(SendQueue& queue, std::size_t step = 1 << 20) {
  FrameParser parser;
  std::string_view sync = kSync;
  parser.next(sync);
  std::vector<Sent> frames;
  for (std::string_view bytes = queue.peek(); !bytes.empty(); bytes = queue.peek()) {
    const std::string written(bytes.substr(0, step));
    queue.consume(written.size());
    std::string_view input = written;
    while (auto frame = parser.next(input)) {
      frames.push_back({frame->type, frame->stream, std::string(frame->payload)});
    }
  }
  return frames;
}

TEST(SendQueue, control_goes_ahead_of_queued_data) {
  SendQueue queue;
  for (int i = 0; i < 10; ++i) queue.push_data(1, Channel::Stdout, std::string(kMaxDataBytes, 'x'));
  queue.peek();  // begins the first frame: only what was not begun can be overtaken
  queue.push_signal(2, {.number = 9});
  const auto frames = drain(queue);
  ASSERT_EQ(frames.size(), 11U);
  EXPECT_EQ(frames[0].type, FrameType::Data);
  EXPECT_EQ(frames[1].type, FrameType::Signal);
}

TEST(SendQueue, streams_take_turns_and_keep_their_own_order) {
  SendQueue queue;
  const std::string large(kMaxDataBytes, 'x');
  for (int i = 0; i < 3; ++i) queue.push_data(1, Channel::Stdout, large);
  queue.push_exit(1, {});
  queue.push_data(2, Channel::Stdout, "quiet");
  queue.push_exit(2, {});
  std::vector<std::uint32_t> order;
  std::vector<FrameType> of_one;
  for (const auto& frame : drain(queue, 1000)) {
    order.push_back(frame.stream);
    if (frame.stream == 1) of_one.push_back(frame.type);
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 2, 1, 2, 1, 1}));
  EXPECT_EQ(of_one, (std::vector{FrameType::Data, FrameType::Data, FrameType::Data, FrameType::Exit}));
}

TEST(SendQueue, a_long_call_is_split_and_can_be_assembled) {
  SendQueue queue;
  const std::string body(300'000, 'b');
  queue.push_request(5, Op::Warm, body);
  queue.push_request(6, Op::Ping, "");
  Assembler assembler;
  std::vector<std::pair<std::uint32_t, Request>> calls;
  FrameParser parser;
  std::string bytes(kSync);
  for (auto piece = queue.peek(); !piece.empty(); piece = queue.peek()) {
    bytes += piece;
    queue.consume(piece.size());
  }
  std::string_view input = bytes;
  while (auto frame = parser.next(input)) {
    auto whole = assembler.add(*frame);
    ASSERT_TRUE(whole);
    if (*whole) calls.emplace_back(frame->stream, *decode<Request>(**whole));
  }
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].second.op, Op::Ping);
  EXPECT_EQ(calls[1].second.op, Op::Warm);
  EXPECT_EQ(calls[1].second.body, body);
}

TEST(SendQueue, it_counts_what_is_queued) {
  SendQueue queue(1000);
  EXPECT_TRUE(queue.empty());
  queue.push_data(1, Channel::Stdout, std::string(985, 'x'));
  EXPECT_TRUE(queue.full());
  EXPECT_EQ(queue.queued_bytes(1), queue.queued_bytes());
  EXPECT_EQ(queue.queued_bytes(2), 0U);
  queue.consume(queue.peek().size());
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.queued_bytes(1), 0U);
}

TEST(SendQueue, a_restart_forgets_calls_and_keeps_output_whole_until_released) {
  SendQueue queue;
  const std::string large(kMaxDataBytes, 'x');
  queue.push_data(1, Channel::Stdout, large);
  queue.push_data(1, Channel::Stdout, "tail");
  queue.push_exit(1, {});
  queue.peek();
  queue.consume(100);  // half of the first frame is gone
  queue.push_response(3, {});
  queue.push_signal(4, {.number = 9});
  queue.restart();
  EXPECT_TRUE(queue.peek().empty());
  queue.push_handshake(FrameType::HelloAck, encode(HelloAck{}));
  queue.release(1);
  const auto frames = drain(queue);
  ASSERT_EQ(frames.size(), 4U);
  EXPECT_EQ(frames[0].type, FrameType::HelloAck);
  EXPECT_EQ(frames[1].payload.size(), large.size() + 1);
  EXPECT_EQ(frames[2].payload.substr(1), "tail");
  EXPECT_EQ(frames[3].type, FrameType::Exit);
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, a_restart_does_not_repeat_frames_that_went_out_whole) {
  SendQueue queue;
  queue.push_data(1, Channel::Stdout, "one");
  queue.push_data(1, Channel::Stdout, "two");
  const std::size_t both = queue.peek().size();
  queue.consume(both / 2 + 1);  // the first, and the start of the second
  queue.restart();
  queue.release(1);
  const auto frames = drain(queue);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].payload.substr(1), "two");
}

TEST(SendQueue, drop_forgets_one_stream_alone) {
  SendQueue queue;
  queue.push_data(1, Channel::Stdin, "a");
  queue.push_data(2, Channel::Stdin, "b");
  queue.drop(1);
  const auto frames = drain(queue);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].stream, 2U);
  EXPECT_TRUE(queue.empty());
}

TEST(SendQueue, what_was_begun_of_a_dropped_stream_does_not_come_back_after_a_restart) {
  SendQueue queue;
  queue.push_data(1, Channel::Stdout, "one");
  queue.peek();
  queue.consume(3);
  queue.drop(1);
  queue.restart();
  EXPECT_TRUE(queue.empty());
  queue.push_data(1, Channel::Stdout, "two");  // the number's next stream is not held
  const auto frames = drain(queue);
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].payload.substr(1), "two");
}

}  // namespace
}  // namespace cofferdam::wire

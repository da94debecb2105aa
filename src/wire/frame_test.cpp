#include "wire/frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/text.h"

namespace cofferdam::wire {
namespace {

struct Frame {
  FrameType type;
  std::uint8_t flags;
  std::uint32_t stream;
  std::string payload;
  bool operator==(const Frame&) const = default;
};

std::vector<Frame> feed(FrameParser& parser, std::string_view bytes) {
  std::vector<Frame> frames;
  while (auto frame = parser.next(bytes)) {
    frames.push_back({frame->type, frame->flags, frame->stream, std::string(frame->payload)});
  }
  EXPECT_TRUE(bytes.empty());
  return frames;
}

std::string frame_bytes(const Frame& frame) {
  std::string out;
  append_frame(out, frame.type, frame.flags, frame.stream, frame.payload);
  return out;
}

const Frame kData{FrameType::Data, 0, 7,
                  std::string("\x01"
                              "a\0b",
                              4)};
const Frame kPart{FrameType::Request, kFlagMore, 9, std::string(kMaxPayload, 'x')};
const Frame kEmpty{FrameType::Eof, 0, 0xffffffff, ""};

TEST(FrameParser, frames_come_out_as_they_went_in) {
  FrameParser parser;
  const auto frames = feed(parser, cat(kSync, frame_bytes(kData), frame_bytes(kPart), frame_bytes(kEmpty)));
  EXPECT_EQ(frames, (std::vector{kData, kPart, kEmpty}));
  EXPECT_EQ(parser.skipped_bytes(), 0U);
}

TEST(FrameParser, a_stream_split_at_every_byte_gives_the_same_frames) {
  const std::string stream = cat("noise", kSync, frame_bytes(kData), frame_bytes(kEmpty));
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameParser parser;
    auto frames = feed(parser, std::string_view(stream).substr(0, cut));
    for (const auto& frame : feed(parser, std::string_view(stream).substr(cut))) frames.push_back(frame);
    ASSERT_EQ(frames, (std::vector{kData, kEmpty})) << "cut at " << cut;
    ASSERT_EQ(parser.skipped_bytes(), 5U);
  }
  FrameParser parser;
  std::vector<Frame> frames;
  for (const char byte : stream) {
    for (const auto& frame : feed(parser, std::string_view(&byte, 1))) frames.push_back(frame);
  }
  EXPECT_EQ(frames, (std::vector{kData, kEmpty}));
}

TEST(FrameParser, nothing_is_heard_before_the_first_sync) {
  FrameParser parser;
  EXPECT_TRUE(feed(parser, frame_bytes(kData)).empty());
  EXPECT_FALSE(parser.in_step());
}

TEST(FrameParser, a_restart_after_any_part_of_a_frame_drops_that_frame_and_no_other) {
  const std::string frame = frame_bytes(kData);
  for (std::size_t sent = 0; sent <= frame.size(); ++sent) {
    FrameParser parser;
    auto frames =
        feed(parser, cat(kSync, frame.substr(0, sent), std::string(kRestartFiller, '\0'), kSync, frame_bytes(kEmpty)));
    const auto expected = sent == frame.size() ? std::vector{kData, kEmpty} : std::vector{kEmpty};
    ASSERT_EQ(frames, expected) << "after " << sent << " bytes";
    ASSERT_EQ(parser.syncs(), 2U);
  }
}

TEST(FrameParser, a_restart_in_the_longest_frame_needs_no_more_filler_than_promised) {
  const std::string frame = frame_bytes(kPart);
  for (const std::size_t sent : {kHeaderBytes - 1, kHeaderBytes, kHeaderBytes + 1, frame.size() - 1}) {
    FrameParser parser;
    EXPECT_EQ(
        feed(parser, cat(kSync, frame.substr(0, sent), std::string(kRestartFiller, '\0'), kSync, frame_bytes(kEmpty))),
        std::vector{kEmpty});
  }
}

TEST(FrameParser, a_sync_at_a_frame_border_needs_no_filler) {
  FrameParser parser;
  EXPECT_EQ(feed(parser, cat(kSync, frame_bytes(kData), kSync, frame_bytes(kEmpty))), (std::vector{kData, kEmpty}));
}

TEST(FrameParser, bad_headers_lose_step_until_the_next_sync) {
  const std::string good = frame_bytes(kData);
  struct Case {
    std::size_t at;
    char value;
  };
  // magic, magic, type 0, type too large, unknown flag, flag on a Data frame, length over the bound
  for (const Case c : {Case{0, 0}, {1, 0}, {2, 0}, {2, 99}, {3, 2}, {3, 1}, {11, 1}, {10, 2}}) {
    std::string bad = good;
    bad[c.at] = c.value;
    FrameParser parser;
    EXPECT_EQ(feed(parser, cat(kSync, bad, good, kSync, frame_bytes(kEmpty))), std::vector{kEmpty}) << c.at;
  }
}

TEST(FrameParser, a_sync_inside_a_payload_is_payload) {
  const Frame frame{FrameType::Data, 0, 1, std::string(kSync)};
  FrameParser parser;
  EXPECT_EQ(feed(parser, cat(kSync, frame_bytes(frame))), std::vector{frame});
  EXPECT_EQ(parser.syncs(), 1U);
}

TEST(FrameParser, a_half_sync_before_a_sync_does_not_hide_it) {
  for (std::size_t half = 1; half < kSync.size(); ++half) {
    FrameParser parser;
    EXPECT_EQ(feed(parser, cat(kSync.substr(0, half), kSync, frame_bytes(kEmpty))), std::vector{kEmpty}) << half;
  }
}

TEST(FrameParser, lose_step_ignores_frames_until_a_sync) {
  FrameParser parser;
  feed(parser, std::string(kSync));
  parser.lose_step();
  EXPECT_EQ(feed(parser, cat(frame_bytes(kData), kSync, frame_bytes(kEmpty))), std::vector{kEmpty});
}

}  // namespace
}  // namespace cofferdam::wire

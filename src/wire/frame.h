// Frames of the guest link: a 12-byte header, at most 64 KiB of payload, a 2-byte end mark; little-endian. The parser
// takes bytes as they come, in pieces of any size, and needs memory for one frame only.
//
//   u16 magic   u8 type   u8 flags   u32 stream   u32 length   payload   u16 end mark
//
// The end mark is what makes a re-connect safe: the new host cannot know how much of its predecessor's last frame
// arrived, so it sends kRestartFiller zero bytes first. They complete the half frame, its end mark is then zero, and
// the parser drops it instead of handing on a payload padded with zeros.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wire/version.h"

namespace cofferdam::wire {

inline constexpr std::uint16_t kMagic = 0xC0FD;
inline constexpr std::uint16_t kEndMark = 0xED0C;
inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kEndMarkBytes = 2;
inline constexpr std::size_t kFrameOverhead = kHeaderBytes + kEndMarkBytes;
inline constexpr std::size_t kMaxPayload = 64U << 10;
inline constexpr std::size_t kMaxFrame = kMaxPayload + kFrameOverhead;
// A Data frame's bytes: the whole frame, with its channel byte, then fits one 32 KiB buffer of the virtio port.
inline constexpr std::size_t kMaxDataBytes = (32U << 10) - kFrameOverhead - 1;
// Zero bytes before kSync on every connection to a port that somebody may have used before.
inline constexpr std::size_t kRestartFiller = kMaxFrame;

enum class FrameType : std::uint8_t {
  Hello = 1,
  HelloAck,
  Request,
  Response,
  Data,
  Eof,
  Credit,
  Signal,
  Resize,
  Exit,
};
inline constexpr auto kLastFrameType = FrameType::Exit;

// More frames of the same type and stream continue this one's message; only for Request and Response.
inline constexpr std::uint8_t kFlagMore = 1;

struct FrameView {
  FrameType type{};
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;  // the call's id, or the process's stream
  std::string_view payload;  // valid until the parser's next call
};

// Appends one frame. `payload` is at most kMaxPayload; what is longer is a bug of the caller and is cut.
void append_frame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t stream, std::string_view payload);

// The same for a Data frame: its payload is the channel and the bytes.
void append_data_frame(std::string& out, std::uint32_t stream, std::uint8_t channel, std::string_view bytes);

// Starts out of step: everything is skipped up to kSync. A bad header or end mark puts it out of step again.
class FrameParser {
 public:
  FrameParser() { buffer_.reserve(kMaxFrame); }

  // Takes bytes from the front of `input` until a frame is whole or nothing is left:
  //   while (auto frame = parser.next(input)) …
  // The returned view is valid until the next call.
  std::optional<FrameView> next(std::string_view& input);

  // Skip everything up to the next kSync, e.g. after a HelloAck for somebody else's Hello.
  void lose_step();

  [[nodiscard]] bool in_step() const { return state_ != State::scanning; }
  // How often kSync was found, and how many bytes were thrown away, since the start.
  [[nodiscard]] std::uint64_t syncs() const { return syncs_; }
  [[nodiscard]] std::uint64_t skipped_bytes() const { return skipped_; }

 private:
  enum class State { scanning, header, body };

  void scan(std::string_view& input);
  void scan_byte(char byte);
  void expect_header();
  [[nodiscard]] bool parse_header();
  // What is in buffer_ from `from` on may hold the start of a kSync: look at it again.
  void rescan(std::size_t from);

  State state_ = State::scanning;
  std::size_t matched_ = 0;  // bytes of kSync seen, while scanning
  std::string buffer_;       // the header, then header, payload and end mark
  FrameView frame_;
  std::size_t wanted_ = kHeaderBytes;
  bool delivered_ = false;  // buffer_ still holds the frame that was handed out
  std::uint64_t syncs_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace cofferdam::wire

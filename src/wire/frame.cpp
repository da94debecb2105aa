#include "wire/frame.h"

#include <algorithm>

#include "base/bytes.h"

namespace cofferdam::wire {

namespace {

void append_header(ByteWriter& writer, FrameType type, std::uint8_t flags, std::uint32_t stream, std::size_t length) {
  writer.u16(kMagic);
  writer.u8(static_cast<std::uint8_t>(type));
  writer.u8(flags);
  writer.u32(stream);
  writer.u32(static_cast<std::uint32_t>(length));
}

}  // namespace

void append_frame(std::string& out, FrameType type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  payload = payload.substr(0, kMaxPayload);
  ByteWriter writer(out);
  append_header(writer, type, flags, stream, payload.size());
  writer.raw(payload);
  writer.u16(kEndMark);
}

void append_data_frame(std::string& out, std::uint32_t stream, std::uint8_t channel, std::string_view bytes) {
  bytes = bytes.substr(0, kMaxPayload - 1);
  ByteWriter writer(out);
  append_header(writer, FrameType::Data, 0, stream, bytes.size() + 1);
  writer.u8(channel);
  writer.raw(bytes);
  writer.u16(kEndMark);
}

std::optional<FrameView> FrameParser::next(std::string_view& input) {
  if (delivered_) expect_header();
  while (!input.empty()) {
    if (state_ == State::scanning) {
      scan(input);
      continue;
    }
    const std::size_t take = std::min(wanted_ - buffer_.size(), input.size());
    buffer_.append(input.substr(0, take));
    input.remove_prefix(take);
    if (buffer_.size() < wanted_) return std::nullopt;

    if (state_ == State::header) {
      if (!parse_header()) {
        rescan(0);
        continue;
      }
      state_ = State::body;
      continue;
    }
    ByteReader end(as_bytes(std::string_view(buffer_).substr(wanted_ - kEndMarkBytes)));
    if (end.u16() != kEndMark) {
      rescan(wanted_ - kEndMarkBytes);
      continue;
    }
    frame_.payload = std::string_view(buffer_).substr(kHeaderBytes, wanted_ - kFrameOverhead);
    delivered_ = true;
    return frame_;
  }
  return std::nullopt;
}

void FrameParser::lose_step() {
  expect_header();
  state_ = State::scanning;
}

void FrameParser::expect_header() {
  state_ = State::header;
  matched_ = 0;
  buffer_.clear();
  wanted_ = kHeaderBytes;
  delivered_ = false;
}

void FrameParser::scan(std::string_view& input) {
  while (!input.empty() && state_ == State::scanning) {
    if (matched_ == 0) {
      const std::size_t start = std::min(input.find(kSync.front()), input.size());
      skipped_ += start;
      input.remove_prefix(start);
      if (input.empty()) return;
    }
    scan_byte(input.front());
    input.remove_prefix(1);
  }
}

void FrameParser::scan_byte(char byte) {
  // kSync's first byte occurs in it only once, so a mismatch can only restart at the byte itself.
  if (byte != kSync[matched_]) {
    skipped_ += matched_;
    matched_ = 0;
    if (byte != kSync.front()) {
      ++skipped_;
      return;
    }
  }
  if (++matched_ < kSync.size()) return;
  ++syncs_;
  expect_header();
}

bool FrameParser::parse_header() {
  ByteReader reader(as_bytes(buffer_));
  const std::uint16_t magic = reader.u16();
  const std::uint8_t type = reader.u8();
  frame_.flags = reader.u8();
  frame_.stream = reader.u32();
  const std::uint32_t length = reader.u32();
  if (magic != kMagic || type == 0 || type > static_cast<std::uint8_t>(kLastFrameType)) return false;
  frame_.type = static_cast<FrameType>(type);
  const bool may_continue = frame_.type == FrameType::Request || frame_.type == FrameType::Response;
  if ((frame_.flags & ~(may_continue ? kFlagMore : 0)) != 0 || length > kMaxPayload) return false;
  wanted_ = kFrameOverhead + length;
  return true;
}

void FrameParser::rescan(std::size_t from) {
  const std::string tail = buffer_.substr(from);
  skipped_ += from;
  lose_step();
  // At most twelve bytes, fewer than kSync has: they cannot complete it.
  for (const char byte : tail) scan_byte(byte);
}

}  // namespace cofferdam::wire

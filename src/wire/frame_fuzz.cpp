// Any bytes, in two different pieces, give the same frames, and each frame encodes to what it was parsed from.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "wire/frame.h"

namespace {

using cofferdam::wire::FrameParser;

std::vector<std::string> parse(std::string_view bytes, std::size_t piece) {
  std::vector<std::string> frames;
  FrameParser parser;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (auto frame = parser.next(part)) {
      std::string encoded;
      append_frame(encoded, frame->type, frame->flags, frame->stream, frame->payload);
      frames.push_back(std::move(encoded));
    }
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The parser starts out of step: the first byte says whether the input begins after a sync.
  const bool synced = (data[0] & 1) != 0;
  const std::size_t piece = 1 + (data[0] >> 1);
  std::string bytes = synced ? std::string(cofferdam::wire::kSync) : std::string();
  bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);

  const auto frames = parse(bytes, bytes.size());
  if (frames != parse(bytes, piece)) std::abort();
  std::size_t from = 0;
  for (const auto& frame : frames) {
    from = bytes.find(frame, from);
    if (from == std::string::npos) std::abort();
    from += frame.size();
  }
  return 0;
}

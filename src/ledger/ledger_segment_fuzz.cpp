// A file of the log as anybody might have left it: never past its end, and what is whole in it is whole for good.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ledger/segment.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::ledger;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  SegmentReader reader(bytes);
  for (int damaged = 0; damaged < 64; ++damaged) {
    while (const auto frame = reader.next()) {
      std::string again;
      append_frame(again, frame->type, frame->payload);
      must(bytes.substr(frame->offset, again.size()) == again);
      if (frame->type != FrameType::header) continue;
      const auto header = decode_header(frame->payload);
      if (header) must(encode_header(*header) == frame->payload);
    }
    must(reader.offset() <= size);
    if (!reader.torn() || !reader.skip_damaged()) break;
  }
  return 0;
}

// The files of the log: frames one after the other, never changed once written.
//
//     8 bytes "COFLEDG1", then frames: u32 length of the payload · u8 type · 8 bytes check · payload
//
// The check is the first 8 bytes of SHA-256(type, payload); for entries, whose type is 0, that is the hash of the leaf.
// A file begins with one header frame: the number of its first entry and the tree's state before it, so that it can be
// read when the files before it are gone. It is sealed by ending with a checkpoint, when the next file begins.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/merkle.h"

namespace cofferdam::ledger {

inline constexpr std::string_view kSegmentMagic = "COFLEDG1";
inline constexpr std::size_t kFrameHeadBytes = 4 + 1 + 8;
inline constexpr std::size_t kMaxFrameBytes = 256U << 10;
inline constexpr std::size_t kMaxSegmentBytes = 256U << 20;

enum class FrameType : std::uint8_t { entry = 0, header = 1, checkpoint = 2 };

struct Frame {
  FrameType type = FrameType::entry;
  std::string_view payload;  // into what is read
  Hash hash{};               // of type and payload
  std::size_t offset = 0;    // of the frame in the file
};

void append_frame(std::string& out, FrameType type, std::string_view payload);
// The same for an entry whose leaf hash is known.
void append_entry_frame(std::string& out, std::string_view payload, const Hash& leaf);

struct SegmentHeader {
  std::string origin;
  std::uint64_t first = 0;     // the number of its first entry
  std::vector<Hash> frontier;  // of the tree before it
  std::string checkpoint;      // the note that sealed the file before; empty in the first
};
std::string encode_header(const SegmentHeader& header);
Result<SegmentHeader> decode_header(std::string_view payload);

// Frames of a file that was read whole. `bytes` outlives the reader.
class SegmentReader {
 public:
  explicit SegmentReader(std::string_view bytes);
  // Goes on where another reader of the same bytes stood.
  SegmentReader(std::string_view bytes, std::size_t offset) : bytes_(bytes), offset_(offset) {}

  // nullopt at the end: of the file, or of what is whole in it.
  std::optional<Frame> next();
  // Behind the last whole frame.
  [[nodiscard]] std::size_t offset() const { return offset_; }
  // Whether there is anything but zeros behind it: half a frame, or a damaged one.
  [[nodiscard]] bool torn() const;
  // Goes on behind a damaged frame whose length can still be believed; false when there is nothing to go on to.
  bool skip_damaged();

 private:
  // The frame at `offset_` as far as its lengths make sense, its check not looked at.
  struct Raw {
    Frame frame;
    std::string_view check;
  };
  [[nodiscard]] std::optional<Raw> raw() const;

  std::string_view bytes_;
  std::size_t offset_ = 0;
};

// "00000000000000000000.seg": by the number of its first entry.
std::string segment_name(std::uint64_t first);
// The first numbers of the files in the folder, ascending.
Result<std::vector<std::uint64_t>> list_segments(const std::string& folder);
Result<std::string> read_segment(const std::string& folder, std::uint64_t first);

}  // namespace cofferdam::ledger

#include "ledger/segment.h"

#include <algorithm>
#include <bit>
#include <cstdio>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "ledger/note.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kCheckBytes = 8;
constexpr std::size_t kNumberDigits = 20;
constexpr std::string_view kSuffix = ".seg";
constexpr std::uint8_t kHeaderVersion = 1;
constexpr std::size_t kMaxOrigin = 255;
constexpr std::size_t kMaxHeaderNote = 8U << 10;

Hash frame_hash(FrameType type, std::string_view payload) {
  const char byte = static_cast<char>(type);
  return crypto::sha256({std::string_view(&byte, 1), payload});
}

void append_frame_with(std::string& out, FrameType type, std::string_view payload, const Hash& hash) {
  ByteWriter writer(out);
  writer.u32(static_cast<std::uint32_t>(payload.size()));
  writer.u8(static_cast<std::uint8_t>(type));
  writer.raw(text_of(hash).substr(0, kCheckBytes));
  writer.raw(payload);
}

}  // namespace

void append_frame(std::string& out, FrameType type, std::string_view payload) {
  append_frame_with(out, type, payload, frame_hash(type, payload));
}

void append_entry_frame(std::string& out, std::string_view payload, const Hash& leaf) {
  append_frame_with(out, FrameType::entry, payload, leaf);
}

std::string encode_header(const SegmentHeader& header) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u8(kHeaderVersion);
  writer.text(header.origin);
  writer.u64(header.first);
  for (const auto& hash : header.frontier) writer.raw(text_of(hash));
  writer.text(header.checkpoint);
  return bytes;
}

Result<SegmentHeader> decode_header(std::string_view payload) {
  const auto bad = [] { return fail(Code::InvalidArgument, "not the header of a file of the ledger"); };
  ByteReader in(as_bytes(payload));
  if (in.u8() != kHeaderVersion) return bad();
  SegmentHeader header;
  header.origin = in.text(kMaxOrigin);
  header.first = in.u64();
  for (int i = 0; in.ok() && i < std::popcount(header.first); ++i) {
    const auto hash = in.raw(sizeof(Hash));
    if (!in.ok()) return bad();
    TRY_ASSIGN(const Hash parsed, hash_of(hash));
    header.frontier.push_back(parsed);
  }
  header.checkpoint = in.text(kMaxHeaderNote);
  if (!in.at_end() || header.origin.empty()) return bad();
  return header;
}

SegmentReader::SegmentReader(std::string_view bytes) : bytes_(bytes), offset_(bytes.size()) {
  if (bytes_.starts_with(kSegmentMagic)) offset_ = kSegmentMagic.size();
}

std::optional<SegmentReader::Raw> SegmentReader::raw() const {
  if (bytes_.size() - offset_ < kFrameHeadBytes) return std::nullopt;
  ByteReader in(as_bytes(bytes_.substr(offset_)));
  const std::size_t length = in.u32();
  const auto type = in.u8();
  Raw raw;
  raw.check = in.raw(kCheckBytes);
  raw.frame.payload = in.raw(length);
  raw.frame.offset = offset_;
  if (!in.ok() || length == 0 || length > kMaxFrameBytes || type > static_cast<std::uint8_t>(FrameType::checkpoint)) {
    return std::nullopt;
  }
  raw.frame.type = static_cast<FrameType>(type);
  return raw;
}

std::optional<Frame> SegmentReader::next() {
  auto found = raw();
  if (!found) return std::nullopt;
  found->frame.hash = frame_hash(found->frame.type, found->frame.payload);
  if (text_of(found->frame.hash).substr(0, kCheckBytes) != found->check) return std::nullopt;
  offset_ += kFrameHeadBytes + found->frame.payload.size();
  return found->frame;
}

bool SegmentReader::torn() const {
  const auto rest = bytes_.substr(offset_);
  return std::any_of(rest.begin(), rest.end(), [](char c) { return c != 0; });
}

bool SegmentReader::skip_damaged() {
  const auto found = raw();
  if (!found) return false;
  offset_ += kFrameHeadBytes + found->frame.payload.size();
  return true;
}

std::string segment_name(std::uint64_t first) {
  std::string digits = std::to_string(first);
  digits.insert(0, kNumberDigits - digits.size(), '0');
  return digits.append(kSuffix);
}

Result<std::vector<std::uint64_t>> list_segments(const std::string& folder) {
  TRY_ASSIGN(const auto names, list_directory(folder));
  std::vector<std::uint64_t> firsts;
  for (const auto& name : names) {
    if (name.size() != kNumberDigits + kSuffix.size() || !name.ends_with(kSuffix)) continue;
    const auto digits = std::string_view(name).substr(0, kNumberDigits);
    const auto zeros = std::min(digits.find_first_not_of('0'), kNumberDigits - 1);
    const auto first = parse_whole(digits.substr(zeros));
    if (first) firsts.push_back(*first);
  }
  return firsts;
}

Result<std::string> read_segment(const std::string& folder, std::uint64_t first) {
  return read_file(cat(folder, "/", segment_name(first)), kMaxSegmentBytes);
}

}  // namespace cofferdam::ledger

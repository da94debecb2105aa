#include "evidence/bundle.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace cofferdam::evidence {
namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kSizeField = 12;
constexpr std::uint64_t kMostOctal = (1ULL << 33) - 1;  // 11 octal digits
constexpr std::size_t kSizePlace = 124;
constexpr std::size_t kSumPlace = 148;

bool is_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == '\0'; });
}

std::string octal(std::uint64_t number, std::size_t digits) {
  std::string text(digits, '0');
  for (auto at = text.rbegin(); at != text.rend() && number > 0; ++at, number >>= 3) {
    *at = static_cast<char>('0' + (number & 7));
  }
  return text;
}

// Eleven octal digits, or the number itself behind a first byte of 0x80.
std::string size_field(std::uint64_t size) {
  if (size <= kMostOctal) return octal(size, kSizeField - 1) + '\0';
  std::string field(kSizeField, '\0');
  field.front() = static_cast<char>(0x80);
  for (auto at = field.rbegin(); size > 0; ++at, size >>= 8) *at = static_cast<char>(size & 0xff);
  return field;
}

std::uint64_t size_of(std::string_view field) {
  const bool binary = static_cast<unsigned char>(field.front()) == 0x80;
  std::uint64_t size = 0;
  for (const char c : field.substr(binary ? 1 : 0, kSizeField - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    size = binary ? (size << 8) | byte : (size << 3) | (byte & 7);
  }
  return size;
}

}  // namespace

bool is_member_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (const auto& part : split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
    const bool clean = std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    });
    if (!clean) return false;
  }
  return true;
}

std::string member_head(std::string_view name, std::uint64_t size) {
  std::string head(kBlock, '\0');
  const auto put = [&head](std::size_t at, std::string_view text) {
    std::copy(text.begin(), text.end(), head.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0, name);
  put(100, "0000600");  // mode
  put(108, "0000000");  // uid
  put(116, "0000000");  // gid
  put(kSizePlace, size_field(size));
  put(136, "00000000000");  // the time of change
  put(kSumPlace, "        ");
  put(156, "0");  // a plain file
  put(257, std::string_view("ustar\00000", 8));
  std::uint64_t sum = 0;
  for (const char c : head) sum += static_cast<unsigned char>(c);
  put(kSumPlace, cat(octal(sum, 6), '\0', ' '));
  return head;
}

std::string member_tail(std::uint64_t size) {
  return std::string(static_cast<std::size_t>((kBlock - size % kBlock) % kBlock), '\0');
}

std::string bundle_end() { return std::string(2 * kBlock, '\0'); }

tl::unexpected<Error> BundleReader::wrong(std::string_view why) const {
  const auto where = member_.empty() ? std::string("at its beginning") : cat("behind '", member_, "'");
  return fail(Code::DataLoss, cat(where, ", at byte ", place_, ": ", why));
}

// A head is what we would have written, byte for byte, or it is none.
Status BundleReader::take_head() {
  if (is_zero(head_)) {
    state_ = State::second_end;
    return {};
  }
  const std::string_view head = head_;
  const std::string name(head.substr(0, std::min(head.find('\0'), kMaxName)));
  const auto size = size_of(head.substr(kSizePlace, kSizeField));
  if (!is_member_name(name) || member_head(name, size) != head) {
    return wrong("what should be the head of a member was changed, or is none");
  }
  if (size > INT64_MAX) return wrong("a member that is larger than any file");
  if (++members_ > kMaxMembers) return wrong(cat("more than ", kMaxMembers, " members"));
  member_ = name;
  size_ = left_ = size;
  state_ = State::content;
  return sink_.begin(name, size);
}

Status BundleReader::feed(std::string_view bytes) {
  // A member without content ends when its head does.
  const auto settle = [this]() -> Status {
    if (state_ == State::content && left_ == 0) {
      TRY(sink_.end());
      left_ = member_tail(size_).size();
      state_ = State::tail;
    }
    if (state_ == State::tail && left_ == 0) {
      head_.clear();
      state_ = State::head;
    }
    return {};
  };
  while (!bytes.empty()) {
    std::string_view piece;
    switch (state_) {
      case State::head:
      case State::second_end:
        piece = bytes.substr(0, kBlock - (state_ == State::head ? head_.size() : place_ % kBlock));
        if (state_ == State::second_end) {
          if (!is_zero(piece)) return wrong("its end was changed");
          if ((place_ + piece.size()) % kBlock == 0) state_ = State::over;
          break;
        }
        head_ += piece;
        if (head_.size() == kBlock) TRY(take_head());
        break;
      case State::content:
        piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
        TRY(sink_.bytes(piece));
        left_ -= piece.size();
        break;
      case State::tail:
        piece = bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
        if (!is_zero(piece)) return wrong("the zeros that fill its last block were changed");
        left_ -= piece.size();
        break;
      case State::over:
        return wrong("there is more behind its end");
    }
    place_ += piece.size();
    bytes.remove_prefix(piece.size());
    TRY(settle());
  }
  return {};
}

Status BundleReader::finish() {
  if (state_ == State::over) return {};
  if (state_ == State::content) {
    return fail(Code::DataLoss,
                cat("it is cut off in the middle of '", member_, "': ", left_, " bytes of it are missing"));
  }
  return wrong("it is cut off");
}

}  // namespace cofferdam::evidence

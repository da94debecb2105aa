// Bounded little-endian reading and writing of byte strings; a reader never throws and never reads past its end.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace cofferdam {

using ByteSpan = std::span<const std::uint8_t>;

inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteSpan bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(std::uint16_t v) { put(v, 2); }
  void u32(std::uint32_t v) { put(v, 4); }
  void u64(std::uint64_t v) { put(v, 8); }
  void i32(std::int32_t v) { u32(static_cast<std::uint32_t>(v)); }
  void i64(std::int64_t v) { u64(static_cast<std::uint64_t>(v)); }
  void raw(std::string_view v) { out_.append(v); }
  // A 32-bit length, then the bytes.
  void text(std::string_view v) {
    u32(static_cast<std::uint32_t>(v.size()));
    out_.append(v);
  }

 private:
  void put(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<char>((v >> (8 * i)) & 0xff));
  }
  std::string& out_;
};

// After any read past the end, ok() is false for good and every further read answers zero or empty.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan in) : in_(in) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return in_.size() - pos_; }
  [[nodiscard]] bool at_end() const { return ok_ && left() == 0; }
  std::uint8_t u8() { return static_cast<std::uint8_t>(get(1)); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get(2)); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get(4)); }
  std::uint64_t u64() { return get(8); }
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  std::int64_t i64() { return static_cast<std::int64_t>(u64()); }
  // A view into the input: valid as long as the input is. A length over `max` is an error.
  std::string_view text(std::size_t max) {
    const std::size_t n = u32();
    if (n > max) ok_ = false;
    return raw(n);
  }
  std::string_view raw(std::size_t n) {
    if (!ok_ || n > left()) {
      ok_ = false;
      return {};
    }
    auto view = as_text(in_.subspan(pos_, n));
    pos_ += n;
    return view;
  }

 private:
  std::uint64_t get(std::size_t n) {
    if (!ok_ || n > left()) {
      ok_ = false;
      return 0;
    }
    std::uint64_t v = 0;
    for (std::size_t i = 0; i < n; ++i) v |= static_cast<std::uint64_t>(in_[pos_ + i]) << (8 * i);
    pos_ += n;
    return v;
  }
  ByteSpan in_;
  std::size_t pos_ = 0;
  bool ok_ = true;
};

}  // namespace cofferdam

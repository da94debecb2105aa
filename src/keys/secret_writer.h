// base/bytes.h's ByteWriter for bytes that are secret: into locked memory whose size is known before.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/secure_bytes.h"

namespace cofferdam::keys {

class SecretWriter {
 public:
  explicit SecretWriter(std::size_t size) : bytes_(size) {}
  void u32(std::uint32_t value) { number(value, sizeof value); }
  void u64(std::uint64_t value) { number(value, sizeof value); }
  void raw(std::string_view text) {
    if (text.size() > bytes_.size() - at_) std::abort();
    if (!text.empty()) std::memcpy(bytes_.writable().data() + at_, text.data(), text.size());
    at_ += text.size();
  }
  // A 32-bit length, then the bytes.
  void text(std::string_view value) {
    u32(static_cast<std::uint32_t>(value.size()));
    raw(value);
  }
  static constexpr std::size_t size_of_text(std::string_view value) { return sizeof(std::uint32_t) + value.size(); }
  [[nodiscard]] std::string_view written() const { return bytes_.view().substr(0, at_); }
  // Every byte must have been written, or is zero.
  SecureBytes take() && { return std::move(bytes_); }

 private:
  void number(std::uint64_t value, std::size_t bytes) {
    char out[sizeof value];
    for (std::size_t i = 0; i < bytes; ++i) out[i] = static_cast<char>((value >> (8 * i)) & 0xffU);
    raw({out, bytes});
  }
  SecureBytes bytes_;
  std::size_t at_ = 0;
};

}  // namespace cofferdam::keys

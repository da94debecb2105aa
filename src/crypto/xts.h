// AES-256-XTS (IEEE 1619) by sectors of 512 bytes, numbered as dm-crypt's and LUKS's "plain64" numbers them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/secure_bytes.h"

namespace cofferdam::crypto {

inline constexpr std::size_t kXtsKeyBytes = 64;
inline constexpr std::size_t kXtsSector = 512;

class Xts {
 public:
  enum class Direction { encrypt, decrypt };
  // `key` must have kXtsKeyBytes; aborts otherwise.
  Xts(const SecureBytes& key, Direction direction);
  Xts(Xts&&) noexcept;
  Xts& operator=(Xts&&) = delete;
  ~Xts();

  // In place; whole sectors, the first of which has the number `sector`.
  void apply(std::uint64_t sector, std::span<char> bytes);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace cofferdam::crypto

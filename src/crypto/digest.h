// SHA-256 of bytes and files.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::crypto {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(std::string_view bytes);
  // The digest of everything so far, 64 lower-case hex digits. The object is spent afterwards: update and hex may not
  // be called again.
  std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);

using Digest = std::array<std::uint8_t, 32>;
// Of the parts, one after the other; quick for short ones.
Digest sha256(std::initializer_list<std::string_view> parts);
// Reads the file in bounded pieces; the errors are those of reading it.
Result<std::string> sha256_file_hex(const std::string& path);
// From the descriptor's present offset to the end of the file.
Result<std::string> sha256_fd_hex(int fd);

}  // namespace cofferdam::crypto

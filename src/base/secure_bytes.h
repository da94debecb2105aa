// Bytes that are secret: in locked pages of their own, outside core dumps, zeroed before they are given back. They
// cannot be copied or formatted by accident.
#pragma once
#include <cstddef>
#include <iosfwd>
#include <span>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace cofferdam {

class SecureBytes {
 public:
  SecureBytes() = default;
  // `size` zero bytes. Aborts when the host has no memory.
  explicit SecureBytes(std::size_t size);
  SecureBytes(SecureBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  SecureBytes& operator=(SecureBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  SecureBytes(const SecureBytes&) = delete;
  SecureBytes& operator=(const SecureBytes&) = delete;
  ~SecureBytes();

  // The only ways to a copy. Whoever holds `bytes` still has to wipe them.
  static SecureBytes copy_of(std::string_view bytes);
  [[nodiscard]] SecureBytes clone() const { return copy_of(view()); }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  // Valid as long as this object is.
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  [[nodiscard]] std::span<char> writable() { return {data_, size_}; }

 private:
  char* data_ = nullptr;  // whole pages, so that unlocking never unlocks a neighbour
  std::size_t size_ = 0;
};

// Lets this process lock as much memory as it will need, and tries it. ResourceExhausted when the host refuses: secrets
// could then reach its swap, so a program that keeps keys calls this at its start and ends on an error.
Status prepare_locked_memory();

std::ostream& operator<<(std::ostream&, const SecureBytes&) = delete;

}  // namespace cofferdam

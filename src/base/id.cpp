#include "base/id.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "base/random.h"
#include "base/text.h"

namespace cofferdam {
namespace {

constexpr std::size_t kRandomDigits = 16;

// Every request has an id: one system call is good for many.
class RandomStock {
 public:
  std::span<const char> take(std::size_t count) {
    if (used_ + count > bytes_.size()) {
      fill_random(bytes_);
      used_ = 0;
    }
    const std::span<const char> taken(bytes_.data() + used_, count);
    used_ += count;
    return taken;
  }

 private:
  std::array<char, 64 * kRandomDigits> bytes_{};
  std::size_t used_ = bytes_.size();
};

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kDigits = 26;

}  // namespace

std::string new_id(std::string_view prefix) {
  using namespace std::chrono;
  const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  std::string digits(kDigits, '0');
  auto time = static_cast<std::uint64_t>(now);
  for (int i = 9; i >= 0; --i, time >>= 5) digits[static_cast<std::size_t>(i)] = kAlphabet[time & 31];
  thread_local RandomStock stock;
  const auto random = stock.take(kRandomDigits);
  for (std::size_t i = 0; i < kRandomDigits; ++i) {
    digits[10 + i] = kAlphabet[static_cast<unsigned char>(random[i]) & 31];
  }
  return cat(prefix, "_", digits);
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + 1 + kDigits || !starts_with(text, prefix) || text[prefix.size()] != '_')
    return false;
  return text.substr(prefix.size() + 1).find_first_not_of(kAlphabet) == std::string_view::npos;
}

}  // namespace cofferdam

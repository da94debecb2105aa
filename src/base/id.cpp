#include "base/id.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
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
constexpr std::size_t kTimeDigits = 10, kCountDigits = 4;

void put(std::string& digits, std::size_t end, std::size_t count, std::uint64_t value) {
  for (; count > 0; --count, value >>= 5) digits[--end] = kAlphabet[value & 31];
}

// Where a thread is in its millisecond.
struct Place {
  std::uint64_t time = 0;
  std::uint32_t count = 0;

  void go_on(std::uint64_t now, std::uint32_t random) {
    // The upper half is room to count in, and a clock that is set back makes no ids that sort before earlier ones.
    count = now > time ? random & 0x7ffffU : count + 1;
    if (now > time) time = now;
    if (count > 0xfffffU) {
      ++time;
      count = 0;
    }
  }
};

}  // namespace

std::string new_id(std::string_view prefix) {
  using namespace std::chrono;
  const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  std::string digits(kDigits, '0');
  thread_local RandomStock stock;
  thread_local Place place;
  const auto random = stock.take(kRandomDigits);
  for (std::size_t i = 0; i < kRandomDigits; ++i) {
    digits[kTimeDigits + i] = kAlphabet[static_cast<unsigned char>(random[i]) & 31];
  }
  std::uint32_t start = 0;
  std::memcpy(&start, random.data(), sizeof start);
  place.go_on(static_cast<std::uint64_t>(now), start);
  put(digits, kTimeDigits, kTimeDigits, place.time);
  put(digits, kTimeDigits + kCountDigits, kCountDigits, place.count);
  return cat(prefix, "_", digits);
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + 1 + kDigits || !starts_with(text, prefix) || text[prefix.size()] != '_')
    return false;
  return text.substr(prefix.size() + 1).find_first_not_of(kAlphabet) == std::string_view::npos;
}

}  // namespace cofferdam

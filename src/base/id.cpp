#include "base/id.h"

#include <chrono>
#include <cstdint>

#include "base/random.h"
#include "base/text.h"

namespace cofferdam {
namespace {

constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kDigits = 26;

}  // namespace

std::string new_id(std::string_view prefix) {
  using namespace std::chrono;
  const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  std::string digits(kDigits, '0');
  auto time = static_cast<std::uint64_t>(now);
  for (int i = 9; i >= 0; --i, time >>= 5) digits[static_cast<std::size_t>(i)] = kAlphabet[time & 31];
  const std::string random = random_bytes(16);
  for (std::size_t i = 0; i < 16; ++i) digits[10 + i] = kAlphabet[static_cast<unsigned char>(random[i]) & 31];
  return cat(prefix, "_", digits);
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + 1 + kDigits || !starts_with(text, prefix) || text[prefix.size()] != '_')
    return false;
  return text.substr(prefix.size() + 1).find_first_not_of(kAlphabet) == std::string_view::npos;
}

}  // namespace cofferdam

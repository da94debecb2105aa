#include "net/pair.h"

#include "base/text.h"

namespace cofferdam::net {
namespace {

constexpr std::uint32_t kFirst = 0x0ad40000;  // 10.212.0.0

std::array<std::uint8_t, 4> bytes_of(std::uint32_t number) {
  return {static_cast<std::uint8_t>(number >> 24), static_cast<std::uint8_t>(number >> 16),
          static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

}  // namespace

std::string mac_text(const Mac& mac) {
  std::string text;
  for (const auto byte : mac) {
    const char raw = static_cast<char>(byte);
    text += cat(text.empty() ? "" : ":", to_hex(std::string_view(&raw, 1)));
  }
  return text;
}

Pair pair_of(std::uint32_t index) {
  const auto guest = bytes_of(kFirst + 2 * index + 1);
  Pair pair;
  pair.gateway = Address::v4(bytes_of(kFirst + 2 * index));
  pair.guest = Address::v4(guest);
  // Locally administered, unicast.
  pair.mac = {0x02, 0xcf, guest[0], guest[1], guest[2], guest[3]};
  return pair;
}

}  // namespace cofferdam::net

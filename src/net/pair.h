// The addresses of a workspace that has a network: the two ends of its wire.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "base/address.h"

namespace cofferdam::net {

using Mac = std::array<std::uint8_t, 6>;
std::string mac_text(const Mac& mac);

// Every workspace has a pair of its own, so that a link's target has one address wherever it is spoken to; nothing
// outside the workspaces' namespaces knows these addresses.
struct Pair {
  Address gateway, guest;
  Mac mac{};  // of the guest's card
};
inline constexpr std::uint8_t kPairPrefix = 31;
inline constexpr std::uint32_t kMaxPairs = 1U << 17;  // 10.212.0.0/14
// `index` is below kMaxPairs.
Pair pair_of(std::uint32_t index);

// What names are answered with: the range of RFC 2544, which nobody routes.
inline constexpr const char* kSynthetic = "198.18.0.0/15";

}  // namespace cofferdam::net

// Keys from passphrases: Argon2id (RFC 9106).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::crypto {

inline constexpr std::size_t kSaltBytes = 16;

// What one derivation costs, us and whoever guesses: passes over so much memory, in one lane.
struct DerivationCost {
  std::uint32_t passes = 3;
  std::uint32_t kib = 256U << 10;
  bool operator==(const DerivationCost&) const = default;
};

// 32 bytes. `salt` has kSaltBytes. Blocks for as long as the cost says (the default: most of a second).
// InvalidArgument: a cost outside 1 to 64 passes and 8 KiB to 4 GiB; ResourceExhausted: that memory is not there.
Result<SecureBytes> derive_key(const SecureBytes& passphrase, std::string_view salt, DerivationCost cost);

}  // namespace cofferdam::crypto

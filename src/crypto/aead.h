// Authenticated encryption: AES-256-GCM with a random nonce for every message, in a form that names its own version.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::crypto {

inline constexpr std::size_t kAeadKeyBytes = 32;
// How much longer than the plain text the sealed one is.
inline constexpr std::size_t kAeadOverhead = 1 + 12 + 16;

// One byte of version, the nonce, the cipher text, the tag. `associated` is bound to the message and not part of it.
// A random nonce of 96 bits is good for 2^32 messages under one key. `key` must have kAeadKeyBytes; aborts otherwise.
std::string seal(const SecureBytes& key, std::string_view plain, std::string_view associated);

// DataLoss when the text was sealed under another key or with other associated data, or was changed or cut.
Result<SecureBytes> unseal(const SecureBytes& key, std::string_view sealed, std::string_view associated);

// The same into `plain`, which has room for exactly what comes out of it. After an error it is zero.
Status unseal_into(const SecureBytes& key, std::string_view sealed, std::string_view associated, std::span<char> plain);

}  // namespace cofferdam::crypto

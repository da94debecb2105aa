// HMAC-SHA-256 (RFC 2104), and keys derived by it.
#pragma once
#include <string>
#include <string_view>

#include "base/secure_bytes.h"

namespace cofferdam::crypto {

// 32 raw bytes.
std::string hmac_sha256(std::string_view key, std::string_view message);

// 32 bytes for one purpose, named by `label`, of a key that is random already (HKDF's expansion, RFC 5869).
SecureBytes derive_key(const SecureBytes& key, std::string_view label);

}  // namespace cofferdam::crypto

// HMAC-SHA-256 (RFC 2104).
#pragma once
#include <string>
#include <string_view>

namespace cofferdam::crypto {

// 32 raw bytes.
std::string hmac_sha256(std::string_view key, std::string_view message);

}  // namespace cofferdam::crypto

// Ed25519 signatures (RFC 8032).
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::crypto {

inline constexpr std::size_t kSigningKeyBytes = 32;
inline constexpr std::size_t kPublicKeyBytes = 32;
inline constexpr std::size_t kSignatureBytes = 64;

// A fresh private key.
SecureBytes make_signing_key();
// The raw public half of it. `key` must have kSigningKeyBytes here and in sign(); aborts otherwise.
std::string public_key_of(const SecureBytes& key);
// kSignatureBytes raw bytes.
std::string sign(const SecureBytes& key, std::string_view message);
// False for any public key or signature that is malformed, too.
bool verify_signature(std::string_view public_key, std::string_view message, std::string_view signature);

// The form that `openssl pkey -pubin` reads. `public_key` is raw, of kPublicKeyBytes.
std::string public_key_to_pem(std::string_view public_key);
// Raw. InvalidArgument: no Ed25519 public key in PEM form.
Result<std::string> public_key_from_pem(std::string_view pem);

}  // namespace cofferdam::crypto

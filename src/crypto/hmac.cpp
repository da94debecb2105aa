#include "crypto/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>

namespace cofferdam::crypto {
namespace {

constexpr std::size_t kMacBytes = 32;

void compute(std::string_view key, std::string_view message, char* mac) {
  unsigned length = 0;
  const auto* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          reinterpret_cast<unsigned char*>(mac), &length);
  // OpenSSL fails here only without memory or without its own default provider: nothing a caller could handle.
  if (done == nullptr || length != kMacBytes) std::abort();
}

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string mac(kMacBytes, '\0');
  compute(key, message, mac.data());
  return mac;
}

SecureBytes derive_key(const SecureBytes& key, std::string_view label) {
  SecureBytes derived(kMacBytes);
  compute(key.view(), std::string(label) + '\x01', derived.writable().data());
  return derived;
}

}  // namespace cofferdam::crypto

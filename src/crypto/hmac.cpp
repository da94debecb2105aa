#include "crypto/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>

namespace cofferdam::crypto {

std::string hmac_sha256(std::string_view key, std::string_view message) {
  std::string mac(32, '\0');
  unsigned length = 0;
  const auto* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                          reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                          reinterpret_cast<unsigned char*>(mac.data()), &length);
  // OpenSSL fails here only without memory or without its own default provider: nothing a caller could handle.
  if (done == nullptr || length != mac.size()) std::abort();
  return mac;
}

}  // namespace cofferdam::crypto

#include "crypto/random.h"

#include "base/random.h"

namespace cofferdam::crypto {

SecureBytes random_secret(std::size_t size) {
  SecureBytes secret(size);
  fill_random(secret.writable());
  return secret;
}

SecureBytes random_base62(std::size_t length) {
  static constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  constexpr unsigned kFair = 256 / 62 * 62;  // bytes from here on would favour the first digits
  SecureBytes text(length);
  SecureBytes pool;
  std::size_t used = 0;
  for (char& digit : text.writable()) {
    for (;;) {
      if (used == pool.size()) {
        pool = random_secret(64);
        used = 0;
      }
      const auto byte = static_cast<unsigned char>(pool.view()[used++]);
      if (byte >= kFair) continue;
      digit = kDigits[byte % 62];
      break;
    }
  }
  return text;
}

}  // namespace cofferdam::crypto

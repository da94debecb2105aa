#include "crypto/xts.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>

namespace cofferdam::crypto {
namespace {

constexpr std::size_t kTweak = 16;

// OpenSSL fails in these only without memory or without its own default provider: nothing a caller could handle.
void must(int ok) {
  if (ok != 1) std::abort();
}

}  // namespace

struct Xts::Context {
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
  };
  std::unique_ptr<EVP_CIPHER_CTX, Free> cipher;
};

Xts::Xts(const SecureBytes& key, Direction direction) : context_(std::make_unique<Context>()) {
  if (key.size() != kXtsKeyBytes) std::abort();
  context_->cipher.reset(EVP_CIPHER_CTX_new());
  if (!context_->cipher) std::abort();
  const auto* bytes = reinterpret_cast<const unsigned char*>(key.view().data());
  const int encrypt = direction == Direction::encrypt ? 1 : 0;
  must(EVP_CipherInit_ex(context_->cipher.get(), EVP_aes_256_xts(), nullptr, bytes, nullptr, encrypt));
}

Xts::Xts(Xts&&) noexcept = default;
Xts::~Xts() = default;

void Xts::apply(std::uint64_t sector, std::span<char> bytes) {
  if (bytes.size() % kXtsSector != 0) std::abort();
  constexpr int kAsBefore = -1;
  for (std::size_t at = 0; at < bytes.size(); at += kXtsSector, ++sector) {
    std::array<unsigned char, kTweak> tweak{};
    for (std::size_t i = 0; i < sizeof sector; ++i) tweak[i] = static_cast<unsigned char>(sector >> (8 * i));
    auto* data = reinterpret_cast<unsigned char*>(bytes.data() + at);
    int n = 0;
    must(EVP_CipherInit_ex(context_->cipher.get(), nullptr, nullptr, nullptr, tweak.data(), kAsBefore));
    must(EVP_CipherUpdate(context_->cipher.get(), data, &n, data, kXtsSector));
  }
}

}  // namespace cofferdam::crypto

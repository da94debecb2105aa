#include "crypto/aead.h"

#include <openssl/evp.h>
#include <string.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "base/random.h"

namespace cofferdam::crypto {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kNonce = 12;
constexpr std::size_t kTag = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes(char* text) { return reinterpret_cast<unsigned char*>(text); }

// OpenSSL fails in these only without memory or without its own default provider: nothing a caller could handle.
void must(int ok) {
  if (ok != 1) std::abort();
}

Context make_context() {
  Context context(EVP_CIPHER_CTX_new());
  if (!context) std::abort();
  return context;
}

void check_key(const SecureBytes& key) {
  if (key.size() != kAeadKeyBytes) std::abort();
}

}  // namespace

std::string seal(const SecureBytes& key, std::string_view plain, std::string_view associated) {
  check_key(key);
  std::string sealed(kAeadOverhead + plain.size(), '\0');
  sealed[0] = kVersion;
  fill_random(std::span(sealed).subspan(1, kNonce));
  const auto context = make_context();
  int n = 0;
  must(EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes(key.view()), bytes(sealed.data() + 1)));
  must(EVP_EncryptUpdate(context.get(), nullptr, &n, bytes(associated), static_cast<int>(associated.size())));
  char* out = sealed.data() + 1 + kNonce;
  must(EVP_EncryptUpdate(context.get(), bytes(out), &n, bytes(plain), static_cast<int>(plain.size())));
  must(EVP_EncryptFinal_ex(context.get(), bytes(out + plain.size()), &n));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTag, out + plain.size()));
  return sealed;
}

Result<SecureBytes> unseal(const SecureBytes& key, std::string_view sealed, std::string_view associated) {
  SecureBytes plain(std::max(sealed.size(), kAeadOverhead) - kAeadOverhead);
  TRY(unseal_into(key, sealed, associated, plain.writable()));
  return plain;
}

Status unseal_into(const SecureBytes& key, std::string_view sealed, std::string_view associated,
                   std::span<char> plain) {
  check_key(key);
  if (sealed.size() < kAeadOverhead || sealed[0] != kVersion) {
    return fail(Code::DataLoss, "the sealed bytes are cut, or of an unknown version");
  }
  const auto nonce = sealed.substr(1, kNonce);
  const auto cipher = sealed.substr(1 + kNonce, sealed.size() - kAeadOverhead);
  if (plain.size() != cipher.size()) std::abort();
  std::string tag(sealed.substr(sealed.size() - kTag));
  const auto context = make_context();
  int n = 0;
  must(EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, bytes(key.view()), bytes(nonce)));
  must(EVP_DecryptUpdate(context.get(), nullptr, &n, bytes(associated), static_cast<int>(associated.size())));
  unsigned char none = 0;
  unsigned char* out = plain.empty() ? &none : bytes(plain.data());
  must(EVP_DecryptUpdate(context.get(), out, &n, bytes(cipher), static_cast<int>(cipher.size())));
  must(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()));
  if (EVP_DecryptFinal_ex(context.get(), &none, &n) == 1) return {};
  ::explicit_bzero(plain.data(), plain.size());
  return fail(Code::DataLoss, "the sealed bytes were changed, or belong to another key or place");
}

}  // namespace cofferdam::crypto

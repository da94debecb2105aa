#include "crypto/signature.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>
#include <memory>

#include "crypto/random.h"

namespace cofferdam::crypto {
namespace {

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Freer<EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;

const unsigned char* bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// OpenSSL fails in these only without memory or without its own default provider: nothing a caller could handle.
void must(bool done) {
  if (!done) std::abort();
}

Key private_key(const SecureBytes& key) {
  must(key.size() == kSigningKeyBytes);
  Key made(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes(key.view()), key.size()));
  must(made != nullptr);
  return made;
}

Key public_key_from(std::string_view raw) {
  if (raw.size() != kPublicKeyBytes) return nullptr;
  return Key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes(raw), raw.size()));
}

std::string raw_public_key(const EVP_PKEY* key) {
  std::string raw(kPublicKeyBytes, '\0');
  std::size_t size = raw.size();
  must(EVP_PKEY_get_raw_public_key(key, bytes(raw), &size) == 1 && size == raw.size());
  return raw;
}

}  // namespace

SecureBytes make_signing_key() { return random_secret(kSigningKeyBytes); }

std::string public_key_of(const SecureBytes& key) { return raw_public_key(private_key(key).get()); }

std::string sign(const SecureBytes& key, std::string_view message) {
  const auto signer = private_key(key);
  const Context context(EVP_MD_CTX_new());
  must(context && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, signer.get()) == 1);
  std::string signature(kSignatureBytes, '\0');
  std::size_t size = signature.size();
  must(EVP_DigestSign(context.get(), bytes(signature), &size, bytes(message), message.size()) == 1);
  must(size == signature.size());
  return signature;
}

bool verify_signature(std::string_view public_key, std::string_view message, std::string_view signature) {
  const auto key = public_key_from(public_key);
  if (!key || signature.size() != kSignatureBytes) return false;
  const Context context(EVP_MD_CTX_new());
  must(context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1);
  const bool good =
      EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

std::string public_key_to_pem(std::string_view public_key) {
  const auto key = public_key_from(public_key);
  const Bio out(BIO_new(BIO_s_mem()));
  must(key && out && PEM_write_bio_PUBKEY(out.get(), key.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Result<std::string> public_key_from_pem(std::string_view pem) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Key key(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  if (!key || EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return fail(Code::InvalidArgument, "there is no Ed25519 public key in PEM form");
  }
  return raw_public_key(key.get());
}

}  // namespace cofferdam::crypto

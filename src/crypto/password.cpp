#include "crypto/password.h"

#include <sodium.h>

#include "base/text.h"

namespace cofferdam::crypto {
namespace {

constexpr std::size_t kKeyBytes = 32;
constexpr std::uint32_t kMaxPasses = 64;
constexpr std::uint32_t kMinKib = 8;
constexpr std::uint32_t kMaxKib = 4U << 20;
static_assert(kSaltBytes == crypto_pwhash_argon2id_SALTBYTES);

}  // namespace

Result<SecureBytes> derive_key(const SecureBytes& passphrase, std::string_view salt, DerivationCost cost) {
  if (cost.passes < 1 || cost.passes > kMaxPasses || cost.kib < kMinKib || cost.kib > kMaxKib) {
    return fail(Code::InvalidArgument,
                cat("no derivation with ", cost.passes, " passes over ", cost.kib, " KiB: at most ", kMaxPasses,
                    " passes, ", kMinKib, " to ", kMaxKib, " KiB"));
  }
  if (salt.size() != kSaltBytes) return fail(Code::InvalidArgument, cat("a salt has ", kSaltBytes, " bytes"));
  if (::sodium_init() < 0) return fail(Code::Internal, "libsodium cannot be initialised");
  SecureBytes key(kKeyBytes);
  const std::string_view words = passphrase.view();
  const int failed =
      ::crypto_pwhash_argon2id(reinterpret_cast<unsigned char*>(key.writable().data()), key.size(), words.data(),
                               words.size(), reinterpret_cast<const unsigned char*>(salt.data()), cost.passes,
                               std::size_t{cost.kib} << 10U, crypto_pwhash_argon2id_ALG_ARGON2ID13);
  if (failed != 0) {
    return fail(Code::ResourceExhausted,
                cat("derive a key from a passphrase: there are no ", cost.kib >> 10U, " MiB of memory for it"));
  }
  return key;
}

}  // namespace cofferdam::crypto

#include "backup/bundle.h"

#include "base/bytes.h"
#include "base/id.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/random.h"

namespace cofferdam::backup {
namespace {

constexpr std::string_view kMagic = "COFBACKU";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kSealedKey = crypto::kAeadKeyBytes + crypto::kAeadOverhead;
constexpr std::size_t kDigest = sizeof(crypto::Digest);
constexpr std::size_t kBound = kHeadBytes - kDigest - kSealedKey;  // what the sealed key is bound to
static_assert(kBound == kMagic.size() + 3 * sizeof(std::uint32_t) + crypto::kSaltBytes);
// A head that asks for more was not written by us.
constexpr std::uint32_t kMaxPasses = 16;
constexpr std::uint32_t kMaxKib = 1U << 20;
constexpr std::size_t kMaxText = 255;
constexpr std::size_t kHexDigest = 2 * kDigest;

std::string digest_of(std::string_view bytes) {
  const auto digest = crypto::sha256({bytes});
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

Result<SealedHead> make_head(const SecureBytes& passphrase, crypto::DerivationCost cost) {
  const std::string salt = random_bytes(crypto::kSaltBytes);
  TRY_ASSIGN(const SecureBytes derived, crypto::derive_key(passphrase, salt, cost));
  SealedHead head;
  head.key = crypto::random_secret(crypto::kAeadKeyBytes);
  ByteWriter out(head.bytes);
  out.raw(kMagic);
  out.u32(kVersion);
  out.u32(cost.passes);
  out.u32(cost.kib);
  out.raw(salt);
  out.raw(crypto::seal(derived, head.key.view(), std::string(head.bytes)));
  out.raw(digest_of(std::string(head.bytes)));
  return head;
}

Result<SecureBytes> open_head(std::string_view bytes, const SecureBytes& passphrase) {
  if (!bytes.starts_with(kMagic)) {
    return fail(Code::InvalidArgument, "this is no backup of cofferdam",
                "name the file that `coffer backup` has written");
  }
  ByteReader in(as_bytes(bytes));
  (void)in.raw(kMagic.size());
  const auto version = in.u32();
  if (in.ok() && version > kVersion) {
    return fail(Code::FailedPrecondition,
                cat("the backup is of version ", version, ", and this program reads ", kVersion),
                "restore it with the cofferdam that has made it, or a newer one");
  }
  crypto::DerivationCost cost;
  cost.passes = in.u32();
  cost.kib = in.u32();
  const auto salt = in.raw(crypto::kSaltBytes);
  const auto sealed = in.raw(kSealedKey);
  const auto digest = in.raw(kDigest);
  const auto damaged = [](std::string_view how) {
    return fail(Code::DataLoss, cat("the head of the backup ", how), "take another copy of the file");
  };
  if (!in.at_end()) return damaged("is cut off");
  if (digest != digest_of(bytes.substr(0, kHeadBytes - kDigest))) return damaged("is damaged");
  if (version == 0 || cost.passes > kMaxPasses || cost.kib > kMaxKib) return damaged("was not written by cofferdam");
  TRY_ASSIGN(const SecureBytes derived, crypto::derive_key(passphrase, salt, cost));
  auto key = crypto::unseal(derived, sealed, bytes.substr(0, kBound));
  if (!key) {
    return fail(Code::FailedPrecondition, "wrong passphrase: it does not open the backup",
                "give the passphrase that the backup was made with");
  }
  return key;
}

std::string encode_manifest(const Manifest& manifest) {
  std::string bytes;
  ByteWriter out(bytes);
  out.text(manifest.id);
  out.i64(manifest.made_us);
  out.text(manifest.program);
  out.text(manifest.config_digest);
  out.text(manifest.ledger_origin);
  out.u64(manifest.ledger_size);
  out.u64(manifest.database_at);
  out.u64(manifest.keys);
  out.u32(static_cast<std::uint32_t>(manifest.members.size()));
  for (const auto& member : manifest.members) {
    out.text(member.name);
    out.u64(member.bytes);
    out.text(member.sha256);
  }
  return bytes;
}

Result<Manifest> decode_manifest(std::string_view bytes) {
  ByteReader in(as_bytes(bytes));
  Manifest manifest;
  manifest.id = in.text(kMaxText);
  manifest.made_us = in.i64();
  manifest.program = in.text(kMaxText);
  manifest.config_digest = in.text(kMaxText);
  manifest.ledger_origin = in.text(kMaxText);
  manifest.ledger_size = in.u64();
  manifest.database_at = in.u64();
  manifest.keys = in.u64();
  const auto count = in.u32();
  for (std::uint32_t i = 0; i < count && i < kMaxMembers && in.ok(); ++i) {
    Member member;
    member.name = in.text(kMaxText);
    member.bytes = in.u64();
    member.sha256 = in.text(kHexDigest);
    manifest.members.push_back(std::move(member));
  }
  if (!in.at_end() || manifest.members.size() != count || !is_id(manifest.id, "bak")) {
    return fail(Code::DataLoss, "the manifest of the backup cannot be read");
  }
  return manifest;
}

}  // namespace cofferdam::backup

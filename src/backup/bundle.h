// The file of a backup, and what it says of itself.
//
//     8 bytes "COFBACKU" · u32 version · u32 passes · u32 KiB · 16 bytes salt · 61 bytes sealed key · 32 bytes SHA-256
//
// of all that stands before, so that a head that was damaged is told from a wrong passphrase. The sealed key is a fresh
// one for this file, under what Argon2id makes of the passphrase; it is bound to the head. Blocks under it follow
// (disk/sealed_file.h), which hold the members (members.h) one after the other; the last is the manifest.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "crypto/password.h"

namespace cofferdam::backup {

inline constexpr std::size_t kHeadBytes = 8 + 4 + 4 + 4 + 16 + 61 + 32;

struct SealedHead {
  std::string bytes;  // kHeadBytes
  SecureBytes key;    // what the blocks are sealed under
};
// Blocks for as long as the cost says.
Result<SealedHead> make_head(const SecureBytes& passphrase, crypto::DerivationCost cost);
// InvalidArgument: no backup; FailedPrecondition: of a newer cofferdam, or "wrong passphrase"; DataLoss: damaged.
Result<SecureBytes> open_head(std::string_view bytes, const SecureBytes& passphrase);

struct Member {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;  // 64 hex digits
  bool operator==(const Member&) const = default;
};

// The last member: what must have stood before it, and where it is from.
struct Manifest {
  std::string id;  // "bak_…"
  std::int64_t made_us = 0;
  std::string program, config_digest;  // the daemon's version, and the digest of its settings (model::DaemonStarted)
  std::string ledger_origin;           // empty: the daemon kept none
  std::uint64_t ledger_size = 0;
  // The database was copied after the entry before this: later ones may tell of what it does not know.
  std::uint64_t database_at = 0;
  std::uint64_t keys = 0;  // of the key tree
  std::vector<Member> members;
};

inline constexpr std::size_t kMaxMembers = 65'536;
inline constexpr std::size_t kMaxManifestBytes = 16U << 20;
std::string encode_manifest(const Manifest& manifest);
Result<Manifest> decode_manifest(std::string_view bytes);

}  // namespace cofferdam::backup

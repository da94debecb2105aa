// What a bundle says of itself: whose it is, and the SHA-256 of every member before the manifest. A text of lines:
//
//     cofferdam evidence 1
//     workspace ws_…
//     incident inc_…           or "none"
//     snapshot snap_…          or "none"
//     made 2026-01-31T23:59:59.123Z
//     member SHA256 SIZE NAME  one for each, in order
//
// It is signed by the ledger: the digest of this text is in an entry (evidence.sealed), and the bundle ends with the
// proof of that entry and the keys that signed it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::evidence {

// Members that have a meaning; all others are content. The last three are not in the manifest.
inline constexpr std::string_view kCheckpoint = "ledger/checkpoint";    // that the proofs are against
inline constexpr std::string_view kConsistency = "ledger/consistency";  // of earlier trees with that one
inline constexpr std::string_view kProofs = "ledger/proofs-";           // and a number: entries, each with its proof
inline constexpr std::string_view kSnapshot = "snapshot/";              // and the name of one of its files
inline constexpr std::string_view kSnapshotKey = "snapshot/key";
inline constexpr std::string_view kManifest = "manifest";
inline constexpr std::string_view kSeal = "seal";
inline constexpr std::string_view kKeys = "keys";

inline constexpr std::string_view kNone = "none";

struct ManifestItem {
  std::string name, sha256;  // 64 lower-case hex digits
  std::uint64_t size = 0;
};

struct Manifest {
  std::string workspace, incident, snapshot, made;  // ids; "none"
  std::vector<ManifestItem> items;
};

std::string format_manifest(const Manifest& manifest);
// Hostile text. InvalidArgument: not such a text, byte for byte.
Result<Manifest> parse_manifest(std::string_view text);

inline constexpr std::size_t kMaxManifest = 1U << 20;

}  // namespace cofferdam::evidence

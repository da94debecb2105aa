// Erasure receipts: what was destroyed, and where it was looked for afterwards, as JSON that this host has signed and
// anybody can check without it.
//
//   {"receipt": {…}, "signature": {"algorithm": "ed25519", "public_key": "<64 hex>", "value": "<128 hex>"}}
//
// Signed are the bytes of the member `receipt` in canonical form (canonical.h), behind the line "cofferdam receipt
// v1\n".
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/key_store.h"

namespace cofferdam::keys {

enum class KeyPlace {
  memory,  // the key was never written anywhere
  tree,    // it was in the key tree
};

// One place that was looked at when all was done: {"disk file", "gone"}, {"network namespace", "gone"}, {"snapshot
// snap_…", "held"}.
struct CheckedPlace {
  std::string place, finding;
};

struct ErasureFacts {
  std::string workspace_id;
  std::string namespace_id;  // whose tokens may read the receipt
  std::string key_id;        // the disk's
  KeyPlace key_place = KeyPlace::memory;
  std::vector<KeyInfo> keys;                 // all that were destroyed with it: of snapshots, archives
  std::optional<std::string> header_sha256;  // of the disk's LUKS header before, 64 hex digits
  std::string tree_root_before, tree_root_after;
  std::uint64_t bytes_discarded = 0;
  std::vector<CheckedPlace> checked;
  std::vector<std::string> held;  // ids of what a hold kept: snapshots, archives
  std::chrono::system_clock::time_point erased_at;
};

struct Receipt {
  std::string id;  // "rcp_…"
  std::string workspace_id, namespace_id;
  std::chrono::system_clock::time_point issued_at;
  std::string text;  // the signed JSON, one line
};

// The facts under a fresh id, signed. `key`: an Ed25519 private key (crypto/signature.h).
Receipt make_receipt(const ErasureFacts& facts, const SecureBytes& key, std::chrono::system_clock::time_point now);

struct CheckedReceipt {
  std::string id, workspace_id, key_id, erased_at;
};

// Checks a receipt without anything but a public key (64 hex digits, or PEM as `receipt.pub` is). InvalidArgument: it
// is no receipt. DataLoss: it was changed, or is another host's.
Result<CheckedReceipt> verify_receipt(std::string_view text, std::string_view public_key);

}  // namespace cofferdam::keys

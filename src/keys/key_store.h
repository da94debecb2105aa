// The keys of this host's workspaces. A fresh key is in locked memory and nowhere else; keep() puts it into the key
// tree, which outlives the daemon, and erase() takes it out so that no copy of the tree of any earlier day opens it.
//
// Keys are named by an owner (a workspace's id) and a name below it ("disk", "snapshot/snap_…", "archive/arc_…"). All
// keys of one owner are wrapped under a key of that owner, and each is bound to both names: moved elsewhere it does not
// open.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/root_holder.h"

namespace cofferdam::keys {

class Files;

inline constexpr std::size_t kMaxKeyBytes = 256;
// What an AES-256-XTS disk has.
inline constexpr std::size_t kDiskKeyBytes = 64;

struct Key {
  std::string id;  // "key_…": what receipts and the ledger call it; no secret
  SecureBytes bytes;
};

// A fresh key of 1 to kMaxKeyBytes random bytes in locked memory, written nowhere: it dies with its last owner. This is
// all there ever is of an ephemeral workspace's key.
Key make_key(std::size_t bytes);

struct KeyName {
  std::string owner;  // 1 to 64 of [A-Za-z0-9_.-]
  std::string name;   // 1 to 128 of the same and '/'
  auto operator<=>(const KeyName&) const = default;
};

struct KeyInfo {
  KeyName name;
  std::string id;
};

// What an erasure did, for its receipt.
struct Erasure {
  std::vector<KeyInfo> erased;  // empty when none of them was there
  // SHA-256 of the tree's trunk as it lies on the disk, 64 hex digits: what KeyStore::tree_root() said before and says
  // after. Equal when nothing was there to erase.
  std::string tree_root_before, tree_root_after;
};

// All calls block for a few milliseconds (with a TPM or a command as holder: as long as that takes): use them on a
// worker. They may be made from several threads. A change is on stable storage when its call returns; a power cut
// leaves all of it or nothing. Errors beside those of RootHolder: InvalidArgument (a name), NotFound, AlreadyExists,
// DataLoss (the tree's file is damaged at that place), ResourceExhausted (the disk is full), Unavailable (an earlier
// failure of the disk left it unknown what is durable: nothing changes any more until cofferd starts again).
class KeyStore {
 public:
  // Takes over the file `tree` in `dir` (STATE/keys), or makes an empty one where there is none, and mends a change
  // that was cut off. FailedPrecondition with the words "wrong root" when the holder has another root than the tree was
  // written under, with "lost root" when it has none. One KeyStore a folder: the daemon's lock of STATE sees to that.
  // `holder` outlives this.
  static Result<std::unique_ptr<KeyStore>> open(const std::string& dir, RootHolder& holder);
  // The same on other files than the host's; `files` outlives this.
  static Result<std::unique_ptr<KeyStore>> open(Files& files, RootHolder& holder);
  // Destroys a tree that is not to be: its roots in the holder, then its file. No tree there is no error. Nobody has it
  // open.
  static Status discard(const std::string& dir, RootHolder& holder);
  KeyStore(const KeyStore&) = delete;
  KeyStore& operator=(const KeyStore&) = delete;
  ~KeyStore();

  // Wraps `key` into the tree under `name`. AlreadyExists: the name has a key already, which stays.
  Status keep(const KeyName& name, const Key& key);
  Result<Key> get(const KeyName& name);
  // Of one owner, by name; none is no error.
  Result<std::vector<KeyInfo>> list(const std::string& owner);
  // Of all owners.
  Result<std::vector<KeyInfo>> list();

  // Takes keys out of the tree for good, all in one change: when it returns, their path has been encrypted anew up to a
  // fresh root, and the holder has destroyed the old one. Those that are absent are no error, so that an erasure whose
  // answer was lost can be asked for again. After an error nothing is proven: ask again. It can be that the keys are
  // out of the tree already while the holder could not destroy the old root; then the next erase() or settle() does.
  Result<Erasure> erase(std::span<const KeyName> names);
  // All keys of one owner: what the deletion of a workspace calls.
  Result<Erasure> erase_owner(const std::string& owner);

  // Destroys what an earlier erasure could not, if there is any. For upkeep.
  Status settle();

  // See Erasure.
  [[nodiscard]] std::string tree_root() const;

 private:
  class Impl;
  explicit KeyStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cofferdam::keys

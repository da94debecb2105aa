// The key tree as a file: a root key (in a RootHolder) opens the trunk, the trunk's keys open the branches, and what is
// in a branch is the caller's business. Blocking; reads may come from several threads, changes one at a time.
//
// Theory of operation. A change writes the branches it touches and the trunk under fresh keys into room that nothing
// refers to, then one sector (superblock.h) that refers to them, in the other one of two places. What was before lies
// untouched until the sector is durable, so a power cut leaves the old state or the new one. A change that must be
// beyond recall (Rotation::new_root) also takes a new root: it is durable in the holder before the sector is, and the
// old one is destroyed after. Every sealed byte of an earlier day then hangs from roots that are no more: the old trunk
// from the old root, the old branches from the old trunk.
//
// The file is written in place and its room made ahead, so that a change waits for the disk and not for the file
// system's journal: two flushes for an addition, and for a new root three (holder, tree, holder). With a new root the
// sector goes out with what it refers to; open() finds out whether all of it arrived, and if not, the old root is still
// there and so is the old state.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/files.h"
#include "keys/root_holder.h"
#include "keys/superblock.h"

namespace cofferdam::keys {

inline constexpr std::size_t kBranches = 256;

enum class Rotation { same_root, new_root };

class KeyTree {
 public:
  // A branch that is empty afterwards has no bytes.
  using Changes = std::map<std::size_t, SecureBytes>;

  // See KeyStore::open().
  static Result<std::unique_ptr<KeyTree>> open(Files& files, RootHolder& holder);

  // See KeyStore::discard().
  static Status discard(Files& files, RootHolder& holder);

  // The branch in the clear, or no bytes. DataLoss: it does not open.
  Result<SecureBytes> read(std::size_t branch) const;
  Status commit(const Changes& changes, Rotation rotation);
  // Removes from the holder the roots that nothing refers to any more and that could not be removed before.
  Status settle();
  [[nodiscard]] std::string root() const;  // KeyStore::tree_root()

 private:
  struct State {
    Superblock block;
    SecureBytes trunk;
  };
  struct Plan {
    State next;
    std::vector<std::pair<Extent, std::string>> writes;
  };
  KeyTree(Files& files, RootHolder& holder) : files_(files), holder_(holder) {}
  Status start();
  Status make_new();
  Result<bool> finish_new();
  Status take_over();
  Status adopt(const std::vector<Superblock>& blocks, const std::vector<Root>& roots);
  Status go_back_to(const Superblock& before, const std::vector<Root>& roots);
  [[nodiscard]] Result<State> open_state(const Superblock& block, const Root& root) const;
  [[nodiscard]] Status check_branches(const State& state) const;
  [[nodiscard]] Result<SecureBytes> open_branch(const State& state, std::size_t branch) const;
  Result<Plan> plan(const Changes& changes, const Root& root);
  Result<Extent> find_room(std::vector<Extent>& used, std::size_t size);
  Status write(const Plan& plan, Rotation rotation);
  [[nodiscard]] Error unknown_state() const;

  Files& files_;
  RootHolder& holder_;
  mutable std::shared_mutex mutex_;  // of state_ and the bytes it refers to
  State state_;
  Root root_;
  unsigned place_ = 0;                        // of the sector that counts
  std::atomic<std::uint64_t> file_size_ = 0;  // changed while others read
  std::vector<std::string> stray_;            // ids of roots to be removed
  bool unknown_ = false;                      // the disk failed when the sector was written: it may be there or not
};

}  // namespace cofferdam::keys

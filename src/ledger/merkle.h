// The Merkle tree of RFC 6962 (section 2.1) over the entries of the log: its hashes, proofs, and their checks.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"

namespace cofferdam::ledger {

using Hash = crypto::Digest;

inline std::string_view text_of(const Hash& hash) { return {reinterpret_cast<const char*>(hash.data()), hash.size()}; }
// Anything but 32 bytes is no hash.
Result<Hash> hash_of(std::string_view bytes);

Hash leaf_hash(std::string_view entry);
Hash node_hash(const Hash& left, const Hash& right);
Hash empty_root();

// A tree that grows by leaves: the roots of its complete subtrees, largest first, one for each bit of its size.
class Frontier {
 public:
  Frontier() = default;
  // InvalidArgument: `hashes` are not as many as `size` has bits.
  static Result<Frontier> restore(std::uint64_t size, std::vector<Hash> hashes);

  // `completed` hears of every node that became complete, the leaf first, then its ancestors from below.
  template <class Completed>
  void push(const Hash& leaf, const Completed& completed) {
    completed(leaf);
    hashes_.push_back(leaf);
    for (std::uint64_t rest = size_; (rest & 1U) != 0; rest >>= 1) {
      const Hash right = hashes_.back();
      hashes_.pop_back();
      hashes_.back() = node_hash(hashes_.back(), right);
      completed(hashes_.back());
    }
    ++size_;
  }
  void push(const Hash& leaf) {
    push(leaf, [](const Hash&) {});
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::vector<Hash>& hashes() const { return hashes_; }
  [[nodiscard]] Hash root() const;

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> hashes_;
};

// Complete nodes in the order in which they become complete: the place of one, and how many a tree has.
std::uint64_t node_place(unsigned level, std::uint64_t index);
std::uint64_t node_count(std::uint64_t tree_size);

// The root of leaves index*2^level to (index+1)*2^level - 1, all of which are there.
using ReadNode = std::function<Result<Hash>(unsigned level, std::uint64_t index)>;

Result<Hash> root_of(std::uint64_t tree_size, const ReadNode& read);
// InvalidArgument: no such leaf in that tree; old larger than new, or empty.
Result<std::vector<Hash>> inclusion_proof(std::uint64_t leaf, std::uint64_t tree_size, const ReadNode& read);
Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t new_size, const ReadNode& read);

// DataLoss: the proof does not hold.
Status check_inclusion(std::uint64_t leaf, std::uint64_t tree_size, const Hash& hash, const std::vector<Hash>& proof,
                       const Hash& root);
Status check_consistency(std::uint64_t old_size, const Hash& old_root, std::uint64_t new_size, const Hash& new_root,
                         const std::vector<Hash>& proof);

}  // namespace cofferdam::ledger

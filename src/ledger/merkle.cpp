#include "ledger/merkle.h"

#include <algorithm>
#include <bit>

#include "base/text.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kLeaf("\0", 1);
constexpr std::string_view kNode("\1", 1);

// The largest power of two below `size`, which is at least 2.
std::uint64_t split_of(std::uint64_t size) { return std::bit_floor(size - 1); }

// The root of leaves [from, from + size): `from` is a multiple of the power of two that `size` fits in.
Result<Hash> range_root(std::uint64_t from, std::uint64_t size, const ReadNode& read) {
  if (std::has_single_bit(size)) {
    const auto level = static_cast<unsigned>(std::countr_zero(size));
    return read(level, from >> level);
  }
  const auto left_size = split_of(size);
  TRY_ASSIGN(const Hash left, range_root(from, left_size, read));
  TRY_ASSIGN(const Hash right, range_root(from + left_size, size - left_size, read));
  return node_hash(left, right);
}

Status add_inclusion(std::uint64_t leaf, std::uint64_t from, std::uint64_t size, const ReadNode& read,
                     std::vector<Hash>& proof) {
  if (size == 1) return {};
  const auto left_size = split_of(size);
  if (leaf < from + left_size) {
    TRY(add_inclusion(leaf, from, left_size, read, proof));
    TRY_ASSIGN(const Hash right, range_root(from + left_size, size - left_size, read));
    proof.push_back(right);
  } else {
    TRY(add_inclusion(leaf, from + left_size, size - left_size, read, proof));
    TRY_ASSIGN(const Hash left, range_root(from, left_size, read));
    proof.push_back(left);
  }
  return {};
}

// SUBPROOF of RFC 6962; whole: the old tree is this very subtree, whose root the reader has.
enum class Whole { no, yes };
Status add_consistency(std::uint64_t old_size, std::uint64_t from, std::uint64_t size, Whole whole,
                       const ReadNode& read, std::vector<Hash>& proof) {
  if (old_size == size) {
    if (whole == Whole::yes) return {};
    TRY_ASSIGN(const Hash own, range_root(from, size, read));
    proof.push_back(own);
    return {};
  }
  const auto left_size = split_of(size);
  if (old_size <= left_size) {
    TRY(add_consistency(old_size, from, left_size, whole, read, proof));
    TRY_ASSIGN(const Hash right, range_root(from + left_size, size - left_size, read));
    proof.push_back(right);
  } else {
    TRY(add_consistency(old_size - left_size, from + left_size, size - left_size, Whole::no, read, proof));
    TRY_ASSIGN(const Hash left, range_root(from, left_size, read));
    proof.push_back(left);
  }
  return {};
}

tl::unexpected<Error> wrong_proof(std::string_view why) { return fail(Code::DataLoss, std::string(why)); }

}  // namespace

Result<Hash> hash_of(std::string_view bytes) {
  Hash hash{};
  if (bytes.size() != hash.size()) return fail(Code::InvalidArgument, "a hash has 32 bytes");
  std::copy(bytes.begin(), bytes.end(), hash.begin());
  return hash;
}

Hash leaf_hash(std::string_view entry) { return crypto::sha256({kLeaf, entry}); }
Hash node_hash(const Hash& left, const Hash& right) { return crypto::sha256({kNode, text_of(left), text_of(right)}); }
Hash empty_root() { return crypto::sha256({}); }

Result<Frontier> Frontier::restore(std::uint64_t size, std::vector<Hash> hashes) {
  if (hashes.size() != static_cast<std::size_t>(std::popcount(size))) {
    return fail(Code::InvalidArgument, cat("a tree of ", size, " leaves has not ", hashes.size(), " complete parts"));
  }
  Frontier frontier;
  frontier.size_ = size;
  frontier.hashes_ = std::move(hashes);
  return frontier;
}

Hash Frontier::root() const {
  if (hashes_.empty()) return empty_root();
  Hash root = hashes_.back();
  for (auto left = std::next(hashes_.rbegin()); left != hashes_.rend(); ++left) root = node_hash(*left, root);
  return root;
}

std::uint64_t node_place(unsigned level, std::uint64_t index) {
  // A node comes `level` places behind the last leaf below it; before leaf n there are n leaves and n/2 + n/4 + …
  // nodes above them, which is 2n less the bits of n.
  const std::uint64_t last_leaf = ((index + 1) << level) - 1;
  return 2 * last_leaf - static_cast<std::uint64_t>(std::popcount(last_leaf)) + level;
}

std::uint64_t node_count(std::uint64_t tree_size) {
  return 2 * tree_size - static_cast<std::uint64_t>(std::popcount(tree_size));
}

Result<Hash> root_of(std::uint64_t tree_size, const ReadNode& read) {
  if (tree_size == 0) return empty_root();
  return range_root(0, tree_size, read);
}

Result<std::vector<Hash>> inclusion_proof(std::uint64_t leaf, std::uint64_t tree_size, const ReadNode& read) {
  if (leaf >= tree_size) {
    return fail(Code::InvalidArgument, cat("a tree of ", tree_size, " entries has no entry ", leaf));
  }
  std::vector<Hash> proof;
  TRY(add_inclusion(leaf, 0, tree_size, read, proof));
  return proof;
}

Result<std::vector<Hash>> consistency_proof(std::uint64_t old_size, std::uint64_t new_size, const ReadNode& read) {
  if (old_size == 0 || old_size > new_size) {
    return fail(Code::InvalidArgument, cat("no proof leads from ", old_size, " entries to ", new_size));
  }
  std::vector<Hash> proof;
  TRY(add_consistency(old_size, 0, new_size, Whole::yes, read, proof));
  return proof;
}

// RFC 9162, section 2.1.3.2.
Status check_inclusion(std::uint64_t leaf, std::uint64_t tree_size, const Hash& hash, const std::vector<Hash>& proof,
                       const Hash& root) {
  if (leaf >= tree_size) return wrong_proof("the entry is not in a tree of that size");
  std::uint64_t fn = leaf;
  std::uint64_t sn = tree_size - 1;
  Hash seen = hash;
  for (const Hash& next : proof) {
    if (sn == 0) return wrong_proof("the proof is too long");
    if ((fn & 1U) != 0 || fn == sn) {
      seen = node_hash(next, seen);
      while (fn != 0 && (fn & 1U) == 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      seen = node_hash(seen, next);
    }
    fn >>= 1;
    sn >>= 1;
  }
  if (sn != 0) return wrong_proof("the proof is too short");
  if (seen != root) return wrong_proof("the proof leads to another root");
  return {};
}

// RFC 9162, section 2.1.4.2.
Status check_consistency(std::uint64_t old_size, const Hash& old_root, std::uint64_t new_size, const Hash& new_root,
                         const std::vector<Hash>& proof) {
  if (old_size > new_size) return wrong_proof("the older tree is the larger one");
  if (old_size == new_size) {
    if (!proof.empty() || old_root != new_root) return wrong_proof("two roots of one size");
    return {};
  }
  if (old_size == 0) {
    if (!proof.empty() || old_root != empty_root()) return wrong_proof("an empty tree with a root");
    return {};
  }
  std::vector<Hash> path = proof;
  if (std::has_single_bit(old_size)) path.insert(path.begin(), old_root);
  if (path.empty()) return wrong_proof("the proof is too short");
  std::uint64_t fn = old_size - 1;
  std::uint64_t sn = new_size - 1;
  while ((fn & 1U) != 0) {
    fn >>= 1;
    sn >>= 1;
  }
  Hash old_seen = path.front();
  Hash new_seen = path.front();
  for (std::size_t i = 1; i < path.size(); ++i) {
    if (sn == 0) return wrong_proof("the proof is too long");
    if ((fn & 1U) != 0 || fn == sn) {
      old_seen = node_hash(path[i], old_seen);
      new_seen = node_hash(path[i], new_seen);
      while (fn != 0 && (fn & 1U) == 0) {
        fn >>= 1;
        sn >>= 1;
      }
    } else {
      new_seen = node_hash(new_seen, path[i]);
    }
    fn >>= 1;
    sn >>= 1;
  }
  if (sn != 0) return wrong_proof("the proof is too short");
  if (old_seen != old_root) return wrong_proof("the proof does not begin at the older root");
  if (new_seen != new_root) return wrong_proof("the proof does not lead to the newer root");
  return {};
}

}  // namespace cofferdam::ledger

// One branch of the key tree in the clear: the owners that fall into it, each with its wrapping key and the keys sealed
// under that. Everything is a view: `bytes`, and what was added, must outlive it.
#pragma once
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/key_store.h"

namespace cofferdam::keys {

struct BranchKey {
  std::string_view name, id;
  std::string_view sealed;  // bound to the owner, the name and the id
};

struct BranchOwner {
  std::string_view owner;
  std::string_view wrapping;  // secret
  std::vector<BranchKey> keys;
};

using Branch = std::vector<BranchOwner>;

// DataLoss: no branch.
Result<Branch> decode_branch(const SecureBytes& bytes);
SecureBytes encode_branch(const Branch& branch);

// Null when the owner has none in it.
BranchOwner* find_owner(Branch& branch, std::string_view owner);
const BranchKey* find_key(const BranchOwner& owner, std::string_view name);

std::string wrap_key(const SecureBytes& wrapping, const KeyName& name, const Key& key);
Result<Key> unwrap_key(const BranchOwner& owner, const BranchKey& key);

}  // namespace cofferdam::keys

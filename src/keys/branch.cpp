#include "keys/branch.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "keys/secret_writer.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kMaxText = 512;

// No part has a NUL.
std::string place_of(std::string_view owner, std::string_view name, std::string_view id) {
  return cat("cofferdam key", '\0', owner, '\0', name, '\0', id);
}

}  // namespace

Result<Branch> decode_branch(const SecureBytes& bytes) {
  ByteReader in(as_bytes(bytes.view()));
  Branch branch;
  const auto owners = in.u32();
  for (std::uint32_t i = 0; i < owners && in.ok(); ++i) {
    BranchOwner owner;
    owner.owner = in.text(kMaxText);
    owner.wrapping = in.raw(crypto::kAeadKeyBytes);
    const auto keys = in.u32();
    for (std::uint32_t k = 0; k < keys && in.ok(); ++k) {
      BranchKey key;
      key.name = in.text(kMaxText);
      key.id = in.text(kMaxText);
      key.sealed = in.text(kMaxText);
      owner.keys.push_back(key);
    }
    branch.push_back(std::move(owner));
  }
  if (!in.at_end()) return fail(Code::DataLoss, "a branch of the key tree is malformed");
  return branch;
}

SecureBytes encode_branch(const Branch& branch) {
  std::size_t size = sizeof(std::uint32_t);
  for (const auto& owner : branch) {
    size += SecretWriter::size_of_text(owner.owner) + owner.wrapping.size() + sizeof(std::uint32_t);
    for (const auto& key : owner.keys) {
      size += SecretWriter::size_of_text(key.name) + SecretWriter::size_of_text(key.id) +
              SecretWriter::size_of_text(key.sealed);
    }
  }
  SecretWriter out(size);
  out.u32(static_cast<std::uint32_t>(branch.size()));
  for (const auto& owner : branch) {
    out.text(owner.owner);
    out.raw(owner.wrapping);
    out.u32(static_cast<std::uint32_t>(owner.keys.size()));
    for (const auto& key : owner.keys) {
      out.text(key.name);
      out.text(key.id);
      out.text(key.sealed);
    }
  }
  return std::move(out).take();
}

BranchOwner* find_owner(Branch& branch, std::string_view owner) {
  const auto found =
      std::find_if(branch.begin(), branch.end(), [&](const BranchOwner& each) { return each.owner == owner; });
  return found == branch.end() ? nullptr : &*found;
}

const BranchKey* find_key(const BranchOwner& owner, std::string_view name) {
  const auto found =
      std::find_if(owner.keys.begin(), owner.keys.end(), [&](const BranchKey& each) { return each.name == name; });
  return found == owner.keys.end() ? nullptr : &*found;
}

std::string wrap_key(const SecureBytes& wrapping, const KeyName& name, const Key& key) {
  return crypto::seal(wrapping, key.bytes.view(), place_of(name.owner, name.name, key.id));
}

Result<Key> unwrap_key(const BranchOwner& owner, const BranchKey& key) {
  auto bytes =
      crypto::unseal(SecureBytes::copy_of(owner.wrapping), key.sealed, place_of(owner.owner, key.name, key.id));
  if (!bytes) return fail(std::move(bytes.error()).in(cat("key '", key.name, "' of '", owner.owner, "'")));
  return Key{std::string(key.id), std::move(*bytes)};
}

}  // namespace cofferdam::keys

// The attacker who has copies: every earlier state of the tree's file, today's file, and today's root.
#include "keys/key_tree.h"

#include <gtest/gtest.h>

#include <set>

#include "base/bytes.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "keys/branch.h"
#include "keys/key_store.h"
#include "keys/power_cut.h"

namespace cofferdam::keys {
namespace {

// What is written in the design and hidden from nobody.
std::string place_of_trunk(const Superblock& block) {
  return cat("cofferdam trunk", '\0', block.store, '\0', block.root_id, '\0', block.sequence);
}
std::string place_of_branch(const Superblock& block, std::size_t branch) {
  return cat("cofferdam branch", '\0', block.store, '\0', branch);
}

std::vector<Superblock> heads_of(const std::string& tree) {
  std::vector<Superblock> heads;
  for (const std::size_t at : {0U, 4096U}) {
    if (auto block = decode_superblock(std::string_view(tree).substr(at, kSectorBytes))) heads.push_back(*block);
  }
  return heads;
}

struct BranchPlace {
  std::size_t branch;
  Extent extent;
  std::string key;
};

// The trunk's own table, opened with a key.
std::optional<std::vector<BranchPlace>> open_trunk(const std::string& tree, const Superblock& head,
                                                   const SecureBytes& key) {
  const auto sealed = std::string_view(tree).substr(head.trunk.offset, head.trunk.size);
  const auto plain = crypto::unseal(key, sealed, place_of_trunk(head));
  if (!plain) return std::nullopt;
  std::vector<BranchPlace> branches;
  ByteReader in(as_bytes(plain->view()));
  for (std::size_t i = 0; i < kBranches; ++i) {
    BranchPlace place{i, {}, {}};
    place.extent.offset = in.u64();
    place.extent.size = in.u32();
    place.key = in.raw(32);
    if (place.extent.size != 0) branches.push_back(place);
  }
  return branches;
}

// The key of `name` as somebody finds it who has this file, and these keys to try on it: first as roots, then as keys
// of branches wherever the file once had one.
std::optional<std::string> attack(const std::string& tree, const std::vector<BranchPlace>& places_once,
                                  const std::set<std::string>& keys, const KeyName& name) {
  std::set<std::string> to_try = keys;
  std::vector<BranchPlace> places = places_once;
  for (auto head : heads_of(tree)) {
    for (const auto& key : keys) {
      // The name of a root is no secret and may be claimed.
      const auto opened = open_trunk(tree, head, SecureBytes::copy_of(key));
      if (!opened) continue;
      for (const auto& place : *opened) to_try.insert(place.key);
      places.insert(places.end(), opened->begin(), opened->end());
    }
  }
  for (const auto& head : heads_of(tree)) {
    for (const auto& place : places) {
      if (place.extent.offset + place.extent.size > tree.size()) continue;
      for (const auto& key : to_try) {
        const auto sealed = std::string_view(tree).substr(place.extent.offset, place.extent.size);
        const auto plain = crypto::unseal(SecureBytes::copy_of(key), sealed, place_of_branch(head, place.branch));
        if (!plain) continue;
        auto branch = decode_branch(*plain).value();
        const auto* owner = find_owner(branch, name.owner);
        const auto* found = owner == nullptr ? nullptr : find_key(*owner, name.name);
        if (found != nullptr) return std::string(unwrap_key(*owner, *found).value().bytes.view());
      }
    }
  }
  return std::nullopt;
}

std::set<std::string> roots_of(const MemoryHolder& holder) {
  std::set<std::string> roots;
  for (const auto& [id, root] : holder.roots) roots.insert(std::string(root.key.view()));
  return roots;
}

// All keys that today's file and today's roots give.
std::set<std::string> all_keys_of(const std::string& tree, const std::set<std::string>& roots) {
  std::set<std::string> keys = roots;
  for (const auto& head : heads_of(tree)) {
    for (const auto& root : roots) {
      const auto opened = open_trunk(tree, head, SecureBytes::copy_of(root));
      if (!opened) continue;
      for (const auto& place : *opened) {
        keys.insert(place.key);
        const auto sealed = std::string_view(tree).substr(place.extent.offset, place.extent.size);
        const auto plain = crypto::unseal(SecureBytes::copy_of(place.key), sealed, place_of_branch(head, place.branch));
        if (!plain) continue;  // of the head before
        for (const auto& owner : decode_branch(*plain).value()) keys.insert(std::string(owner.wrapping));
      }
    }
  }
  return keys;
}

TEST(Copies, all_copies_of_the_tree_and_todays_root_open_nothing_that_was_erased) {
  PowerSwitch power;
  PowerCutFiles files(power);
  MemoryHolder holder;
  auto store = KeyStore::open(files, holder).value();
  const KeyName gone{"ws_gone", "disk"};
  const KeyName stays{"ws_stays", "disk"};
  std::vector<std::string> copies;
  const auto copy = [&] { copies.push_back(files.content("tree")); };
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(store->keep({cat("ws_", i), "disk"}, make_key(64)));
  const Key key = make_key(64);
  ASSERT_TRUE(store->keep(gone, key));
  copy();
  ASSERT_TRUE(store->keep(stays, make_key(64)));
  copy();
  // Changes of the same branch and of others, with and without a new root.
  ASSERT_TRUE(store->keep({"ws_gone", "snapshot/1"}, make_key(64)));
  ASSERT_TRUE(store->erase_owner("ws_7"));
  copy();
  const auto yesterdays_roots = roots_of(holder);
  const auto yesterday = files.content("tree");
  std::vector<BranchPlace> places;
  for (const auto& head : heads_of(yesterday)) {
    for (const auto& root : yesterdays_roots) {
      if (auto opened = open_trunk(yesterday, head, SecureBytes::copy_of(root))) {
        places.insert(places.end(), opened->begin(), opened->end());
      }
    }
  }
  // The attack is one: with the root of its day the copy opens.
  EXPECT_EQ(attack(yesterday, places, yesterdays_roots, gone), std::string(key.bytes.view()));

  ASSERT_TRUE(store->erase_owner("ws_gone"));
  const auto today = files.content("tree");
  copies.push_back(today);
  const auto keys = all_keys_of(today, roots_of(holder));
  EXPECT_GT(keys.size(), 60U);
  for (const auto& each : copies) EXPECT_EQ(attack(each, places, keys, gone), std::nullopt);
  // And what was not erased opens still, so they were the right keys.
  EXPECT_NE(attack(today, places, keys, stays), std::nullopt);
}

TEST(Copies, the_bytes_of_keys_and_roots_are_in_no_file) {
  PowerSwitch power;
  PowerCutFiles files(power);
  MemoryHolder holder;
  auto store = KeyStore::open(files, holder).value();
  const Key key = make_key(64);
  ASSERT_TRUE(store->keep({"ws_1", "disk"}, key));
  const auto tree = files.content("tree");
  EXPECT_EQ(tree.find(std::string(key.bytes.view().substr(0, 16))), std::string::npos);
  EXPECT_EQ(tree.find("ws_1"), std::string::npos);  // not even whose they are
  for (const auto& root : roots_of(holder)) EXPECT_EQ(tree.find(root), std::string::npos);
}

TEST(Copies, keys_do_not_open_in_anothers_place) {
  const auto wrapping = SecureBytes::copy_of(std::string(32, 'w'));
  const Key key = make_key(64);
  const auto sealed = wrap_key(wrapping, {"ws_1", "disk"}, key);
  const BranchOwner owner{"ws_1", wrapping.view(), {}};
  EXPECT_EQ(unwrap_key(owner, {"disk", key.id, sealed}).value().bytes.view(), key.bytes.view());
  EXPECT_EQ(unwrap_key(owner, {"snapshot/1", key.id, sealed}).error().code, Code::DataLoss);
  EXPECT_EQ(unwrap_key(owner, {"disk", "key_other", sealed}).error().code, Code::DataLoss);
  const BranchOwner thief{"ws_2", wrapping.view(), {}};
  EXPECT_EQ(unwrap_key(thief, {"disk", key.id, sealed}).error().code, Code::DataLoss);
}

TEST(Superblock, a_changed_bit_is_no_superblock) {
  Superblock block;
  block.sequence = 7;
  block.store = "keys_1";
  block.root_id = "root_1";
  block.trunk = {8192, 1000};
  block.trunk_digest = std::string(64, 'd');
  const auto sector = encode_superblock(block);
  ASSERT_EQ(sector.size(), kSectorBytes);
  const auto read = decode_superblock(sector).value();
  EXPECT_EQ(read.sequence, 7U);
  EXPECT_EQ(read.trunk.offset, 8192U);
  for (std::size_t bit = 0; bit < std::size_t{180} * 8; ++bit) {
    auto changed = sector;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_superblock(changed)) << bit;
  }
  EXPECT_FALSE(decode_superblock(sector.substr(0, 100)));
  EXPECT_FALSE(decode_superblock(std::string(kSectorBytes, '\0')));
}

}  // namespace
}  // namespace cofferdam::keys

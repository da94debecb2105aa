#include "ledger/merkle.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::ledger {
namespace {

// A tree in memory with all its complete nodes, in the order of their places.
struct Tree {
  Frontier frontier;
  std::vector<Hash> nodes;
  std::vector<Hash> roots{empty_root()};

  void grow(std::string_view entry) {
    frontier.push(leaf_hash(entry), [this](const Hash& node) { nodes.push_back(node); });
    roots.push_back(frontier.root());
  }
  [[nodiscard]] ReadNode reader() const {
    return [this](unsigned level, std::uint64_t index) -> Result<Hash> {
      const auto place = node_place(level, index);
      if (place >= nodes.size()) return fail(Code::NotFound, "no such node");
      return nodes[place];
    };
  }
};

Tree tree_of(std::size_t size) {
  Tree tree;
  for (std::size_t i = 0; i < size; ++i) tree.grow(cat("entry ", i));
  return tree;
}

TEST(Merkle, roots_are_those_of_certificate_transparencys_test_vectors) {
  const std::string leaves[] = {"",
                                std::string("\x00", 1),
                                "\x10",
                                "\x20\x21",
                                "\x30\x31",
                                "\x40\x41\x42\x43",
                                "\x50\x51\x52\x53\x54\x55\x56\x57",
                                "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
  const char* roots[] = {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
                         "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
                         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
                         "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
                         "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
                         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
                         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
  Tree tree;
  EXPECT_EQ(to_hex(text_of(tree.frontier.root())), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (std::size_t i = 0; i < 8; ++i) {
    tree.grow(leaves[i]);
    EXPECT_EQ(to_hex(text_of(tree.frontier.root())), roots[i]) << i + 1;
  }
}

TEST(Merkle, nodes_have_their_places) {
  const Tree tree = tree_of(100);
  EXPECT_EQ(tree.nodes.size(), node_count(100));
  for (std::uint64_t size = 0; size <= 100; ++size) {
    EXPECT_EQ(root_of(size, tree.reader()).value(), tree.roots[size]) << size;
  }
}

TEST(Merkle, every_entry_of_every_tree_can_be_proven_and_no_other) {
  const Tree tree = tree_of(66);
  for (std::uint64_t size = 1; size <= 66; ++size) {
    for (std::uint64_t leaf = 0; leaf < size; ++leaf) {
      auto proof = inclusion_proof(leaf, size, tree.reader()).value();
      const Hash hash = leaf_hash(cat("entry ", leaf));
      EXPECT_TRUE(check_inclusion(leaf, size, hash, proof, tree.roots[size])) << leaf << " of " << size;
      EXPECT_FALSE(check_inclusion(leaf, size, leaf_hash("another"), proof, tree.roots[size]));
      EXPECT_FALSE(check_inclusion(leaf, size, hash, proof, tree.roots[size - 1]));
      if (size > 1) EXPECT_FALSE(check_inclusion((leaf + 1) % size, size, hash, proof, tree.roots[size]));
      proof.push_back(hash);
      EXPECT_FALSE(check_inclusion(leaf, size, hash, proof, tree.roots[size]));
      proof.pop_back();
      if (proof.empty()) continue;
      proof.front()[0] ^= 1;
      EXPECT_FALSE(check_inclusion(leaf, size, hash, proof, tree.roots[size]));
      proof.erase(proof.begin());
      EXPECT_FALSE(check_inclusion(leaf, size, hash, proof, tree.roots[size]));
    }
  }
}

TEST(Merkle, every_tree_leads_to_every_larger_one_and_to_no_other) {
  const Tree tree = tree_of(66);
  Tree other = tree_of(3);
  for (int i = 3; i < 66; ++i) other.grow(cat("else ", i));
  for (std::uint64_t to = 1; to <= 66; ++to) {
    for (std::uint64_t from = 1; from <= to; ++from) {
      auto proof = consistency_proof(from, to, tree.reader()).value();
      EXPECT_TRUE(check_consistency(from, tree.roots[from], to, tree.roots[to], proof)) << from << " to " << to;
      if (from > 3) EXPECT_FALSE(check_consistency(from, other.roots[from], to, tree.roots[to], proof));
      if (to > 3) EXPECT_FALSE(check_consistency(from, tree.roots[from], to, other.roots[to], proof));
      if (proof.empty()) continue;
      proof.back()[31] ^= 0x80;
      EXPECT_FALSE(check_consistency(from, tree.roots[from], to, tree.roots[to], proof));
      proof.pop_back();
      EXPECT_FALSE(check_consistency(from, tree.roots[from], to, tree.roots[to], proof));
    }
  }
  EXPECT_FALSE(consistency_proof(0, 5, tree.reader()));
  EXPECT_FALSE(consistency_proof(6, 5, tree.reader()));
  EXPECT_FALSE(inclusion_proof(5, 5, tree.reader()));
}

TEST(Merkle, a_frontier_goes_on_where_another_stood) {
  const Tree tree = tree_of(37);
  Frontier restored = Frontier::restore(37, tree.frontier.hashes()).value();
  Tree whole = tree_of(38);
  restored.push(leaf_hash("entry 37"));
  EXPECT_EQ(restored.root(), whole.frontier.root());
  EXPECT_FALSE(Frontier::restore(36, tree.frontier.hashes()));
}

}  // namespace
}  // namespace cofferdam::ledger

// The one sector that says what the key tree is now: which trunk, under which root. Nothing in it is secret.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cofferdam::keys {

inline constexpr std::size_t kSectorBytes = 512;

// Consecutive bytes of the tree's file.
struct Extent {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
};

struct Superblock {
  std::uint64_t sequence = 0;
  std::string store, root_id;
  Extent trunk;
  std::string trunk_digest;  // SHA-256 of the sealed trunk, 64 hex digits
};

// kSectorBytes, which a disk writes as a whole or not at all; a check sum finds the disk that did not.
std::string encode_superblock(const Superblock& block);
// nullopt: none, or one that was torn.
std::optional<Superblock> decode_superblock(std::string_view sector);

}  // namespace cofferdam::keys

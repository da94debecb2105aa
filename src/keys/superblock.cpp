#include "keys/superblock.h"

#include "base/bytes.h"
#include "crypto/digest.h"

namespace cofferdam::keys {
namespace {

constexpr std::string_view kMagic = "COFKEYT1";
constexpr std::size_t kMaxId = 64;
constexpr std::size_t kDigestDigits = 64;

}  // namespace

std::string encode_superblock(const Superblock& block) {
  std::string sector;
  ByteWriter out(sector);
  out.raw(kMagic);
  out.u64(block.sequence);
  out.text(block.store);
  out.text(block.root_id);
  out.u64(block.trunk.offset);
  out.u32(block.trunk.size);
  out.text(block.trunk_digest);
  out.raw(crypto::sha256_hex(sector));
  sector.resize(kSectorBytes, '\0');
  return sector;
}

std::optional<Superblock> decode_superblock(std::string_view sector) {
  ByteReader in(as_bytes(sector));
  if (in.raw(kMagic.size()) != kMagic) return std::nullopt;
  Superblock block;
  block.sequence = in.u64();
  block.store = in.text(kMaxId);
  block.root_id = in.text(kMaxId);
  block.trunk.offset = in.u64();
  block.trunk.size = in.u32();
  block.trunk_digest = in.text(kDigestDigits);
  const auto summed = sector.substr(0, sector.size() - in.left());
  const auto sum = in.raw(kDigestDigits);
  if (!in.ok() || sum != crypto::sha256_hex(summed)) return std::nullopt;
  return block;
}

}  // namespace cofferdam::keys

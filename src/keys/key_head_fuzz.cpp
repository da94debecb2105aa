// What lies in files and in a TPM is read before anything has vouched for it: the tree's heads, and records of roots.
// Branches have been authenticated, but cost nothing to hold to the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "keys/branch.h"
#include "keys/root_record.h"
#include "keys/superblock.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto block = keys::decode_superblock(bytes)) {
    const auto again = keys::decode_superblock(keys::encode_superblock(*block));
    if (!again || again->sequence != block->sequence || again->trunk.offset != block->trunk.offset) std::abort();
  }
  if (const auto record = keys::decode_record(bytes)) {
    const auto encoded = keys::encode_record(record->store, record->id, record->payload.view());
    const auto again = keys::decode_record(encoded.view());
    if (!again || again->payload.view() != record->payload.view()) std::abort();
  }
  const auto held = SecureBytes::copy_of(bytes);
  if (const auto branch = keys::decode_branch(held)) {
    if (keys::encode_branch(*branch).view() != bytes) std::abort();
  }
  return 0;
}

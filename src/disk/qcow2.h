// The form of a workspace's disk: a qcow2 image (QEMU's docs/interop/qcow2.txt) whose clusters are encrypted as LUKS
// says. Chosen because what was never written reads as zeros and takes no room, discarded blocks are given back to the
// host, and a layer can be laid over another in constant time. Of an image that a VMM had, nothing is believed:
// what is read here is bounded, and QEMU reads it in its jail.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "disk/luks.h"

namespace cofferdam::disk {

// Writes into the empty file `to` an image of `bytes` (a multiple of 1 MiB) that holds what `source`, a raw disk of at
// most that size, holds; -1: zeros. Blocking.
Status write_image(int to, std::uint64_t bytes, const LuksHeader& header, int source);

// The same with what another such image holds, whose header `volume_key` is of.
struct EncryptedSource {
  int file = -1;
  std::uint64_t bytes = 0;  // that it has at most
  const SecureBytes& volume_key;
};
Status rewrite_image(int to, std::uint64_t bytes, const LuksHeader& header, const EncryptedSource& source);

// The LUKS header in such a file, without its volume key. DataLoss when it is no such image.
Result<LuksHeader> read_header(int file);

// The largest file that an image of `bytes` becomes.
std::uint64_t largest_file(std::uint64_t bytes);

// Whether it is such an image of at most `bytes`, and whole: no table or cluster that it refers to lies behind its end.
// DataLoss when not.
Status check_image(int file, std::uint64_t bytes);

}  // namespace cofferdam::disk

// LUKS1 headers, the only place that knows libcryptsetup.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::disk {

// What opens the header of the disk whose key is `key`, in the form that QEMU takes a secret in: as text.
SecureBytes passphrase_of(const SecureBytes& key);

// As long as the header with its first slot is; the other slots stay empty.
inline constexpr std::size_t kLuksFilledBytes = 4096 + 4000 * 64;

struct LuksHeader {
  std::string bytes;           // kLuksFilledBytes
  std::uint64_t reserved = 0;  // how much room a header with all its slots takes
  SecureBytes volume_key;      // 512 bits of AES-256-XTS, in no other place than the key slot
};

// A header for a fresh volume key. Some 30 ms of CPU. Blocking, on any thread.
Result<LuksHeader> make_luks_header(const SecureBytes& passphrase);

// The volume key; PermissionDenied when the passphrase is another header's, DataLoss when the bytes are no header.
Result<SecureBytes> open_luks_header(const std::string& bytes, const SecureBytes& passphrase);

}  // namespace cofferdam::disk

// One root as bytes, for holders that keep it in a place of fixed size.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/secure_bytes.h"

namespace cofferdam::keys {

inline constexpr std::size_t kRecordBytes = 512;

struct RootRecord {
  std::string store, id;
  SecureBytes payload;  // the key, or what a passphrase made of it; at most 256 bytes
};

// kRecordBytes, with a check sum.
SecureBytes encode_record(std::string_view store, std::string_view id, std::string_view payload);
// nullopt: there is none, or one that was torn or wiped.
std::optional<RootRecord> decode_record(std::string_view bytes);

}  // namespace cofferdam::keys

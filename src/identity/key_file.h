// A key of the host: 32 random bytes in a file, made at the first start, readable by its owner alone.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "store/database.h"

namespace cofferdam::identity {

inline constexpr std::size_t kKeyBytes = 32;

// FailedPrecondition when others may read the file, DataLoss when it is no key.
Result<SecureBytes> load_or_make_key(const std::string& path);

// That the rows were made under this key: a proof of it is kept at the first call, and FailedPrecondition says when the
// key is another one afterwards, before everything made under the old one is found to be unreadable. Blocks.
Status check_same_key(store::Database& database, std::string_view name, const SecureBytes& key);

// FailedPrecondition when anybody but the owner may read or write the file. Absent is fine.
Status check_private(const std::string& path);

}  // namespace cofferdam::identity

// The keys of a key tree as a backup holds them: in the clear, and so in locked memory and under the backup's own seal
// alone. The tree itself is not in a backup: neither its roots nor what it has forgotten.
#pragma once
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/key_store.h"

namespace cofferdam::backup {

struct KeptKey {
  keys::KeyName name;
  keys::Key key;
};

// All there are at the moment each is asked for.
Result<std::vector<KeptKey>> keys_of(keys::KeyStore& store);

// ResourceExhausted: more than a backup holds.
Result<SecureBytes> encode_keys(const std::vector<KeptKey>& keys);
Result<std::vector<KeptKey>> decode_keys(const SecureBytes& bytes);

}  // namespace cofferdam::backup

// Where the root of the key tree lives. Whoever has the root opens the tree, so the one thing that is asked of a holder
// beside keeping it is to forget it: what remove() took must not be found again in the place that held it.
//
// During a rotation a holder has two roots: the new one is added before the tree refers to it, the old one removed when
// the tree is durable without it. KeyStore::open() mends an interrupted rotation to exactly one.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"

namespace cofferdam::keys {

inline constexpr std::size_t kRootKeyBytes = 32;

struct Root {
  std::string id;   // new_id("root"); no secret
  SecureBytes key;  // kRootKeyBytes
};

// Calls block, each with a deadline of its own, and come one at a time. `store` is the id of the key store (no secret):
// a holder that several installations share keeps their roots apart by it. Errors: Unavailable (the place does not
// answer), PermissionDenied, FailedPrecondition (the place is taken by another store, or this passphrase opens
// nothing), DataLoss (what it holds is damaged), ResourceExhausted.
class RootHolder {
 public:
  RootHolder() = default;
  RootHolder(const RootHolder&) = delete;
  RootHolder& operator=(const RootHolder&) = delete;
  virtual ~RootHolder() = default;

  // For messages: "the file '/var/lib/cofferdam/keys/root.key'".
  [[nodiscard]] virtual std::string name() const = 0;
  // All roots of this store, in any order; none is no error.
  virtual Result<std::vector<Root>> load(const std::string& store) = 0;
  // Durable when it returns. After an error the root may be there or not.
  virtual Status add(const std::string& store, const Root& root) = 0;
  // Gone for good when it returns; absent is fine. After an error it may be there or not.
  virtual Status remove(const std::string& store, const std::string& id) = 0;
};

}  // namespace cofferdam::keys

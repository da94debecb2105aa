// Named secrets of a namespace, for delivery into its workspaces' environment. Encrypted at rest under a key of the
// host; no answer but the one for delivery holds a value, or says how long it is.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secure_bytes.h"
#include "identity/clock.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::identity {

struct SecretInfo {
  std::string name;
  Time created_at, updated_at;
};

// A POSIX environment name: letters, digits and '_', not a digit first; at most 128 bytes.
bool is_secret_name(std::string_view name);

// Namespaces are given by id. Errors beside the store's: NotFound (the namespace or the secret), InvalidArgument (name
// or value; the value is never repeated), ResourceExhausted (256 secrets in one namespace), DataLoss (a value that was
// not sealed under this key, in this place).
class Secrets {
 public:
  using Delivery = std::vector<std::pair<std::string, SecureBytes>>;

  // `key`: crypto::kAeadKeyBytes. FailedPrecondition when the secrets that are there were sealed under another one.
  // Blocks. `database` outlives this.
  static Result<std::unique_ptr<Secrets>> open(store::Database& database, SecureBytes key, Clock clock);

  // Adds or replaces. A value is 1 to 65536 bytes without NUL, and no credential of our own control plane.
  loop::Task<SecretInfo> set(std::string namespace_id, std::string name, SecureBytes value);
  loop::Task<SecretInfo> get(std::string namespace_id, std::string name);
  loop::Task<std::vector<SecretInfo>> list(std::string namespace_id);  // by name
  // Overwritten: in no file of the database afterwards.
  loop::Task<void> remove(std::string namespace_id, std::string name);

  // For handing to a guest over the control channel, and nothing else. In the order of `names`; one that is missing is
  // NotFound, and nothing is revealed.
  loop::Task<Delivery> reveal_for_delivery(std::string namespace_id, std::vector<std::string> names);

 private:
  Secrets(store::Database& database, SecureBytes key, Clock clock)
      : database_(database), key_(std::move(key)), clock_(std::move(clock)) {}
  store::Database& database_;
  SecureBytes key_;
  Clock clock_;
};

}  // namespace cofferdam::identity

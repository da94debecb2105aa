// Further client ids and secrets for the control plane, beside the administrator's. They do not expire; they are
// revoked. Used on the loop only.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/secure_bytes.h"
#include "identity/principal.h"
#include "identity/revocations.h"
#include "ledger/recorder.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::identity {

struct ApiKey {
  std::string client_id;  // "key_…"
  Grant grant;
  std::string label;
  Time created_at;
  std::string created_by;
  std::optional<Time> last_used_at;
};

struct ApiKeyRequest {
  Scope scope = WholeAccount{};
  VerbSet verbs = VerbSet::all().without({Verb::admin});
  std::string label;  // at most 255 bytes
};

struct MintedApiKey {
  ApiKey key;
  std::string client_secret;  // told here and nowhere else
};

// `by` needs the verb `admin` on the whole account, and gives no verb that it has not; a credential that expires makes
// none that does not.
class ApiKeys {
 public:
  // Loads all. Blocks. `database`, `revocations` and `recorder` (null: nothing is written down) outlive this; `key`
  // hashes the secrets.
  static Result<std::unique_ptr<ApiKeys>> open(store::Database& database, SecureBytes key, Clock clock,
                                               Revocations& revocations, ledger::Recorder* recorder = nullptr);

  // Unauthenticated, and not which of the two was wrong.
  Result<Principal> check(std::string_view client_id, std::string_view client_secret);
  loop::Task<MintedApiKey> create(Principal by, ApiKeyRequest request);
  // In force when this is called, as with tokens.
  loop::Task<void> revoke(Principal by, std::string client_id);
  [[nodiscard]] Result<std::vector<ApiKey>> list(const Principal& by) const;  // oldest first

  // As with tokens: every few seconds, and at the end.
  loop::Task<void> maintain();
  loop::Task<void> close();

 private:
  struct Entry {
    ApiKey key;
    std::string mac;
    std::optional<Time> use_written_at;
    bool use_owed = false;
  };
  enum class Owed { due, all };
  ApiKeys(store::Database& database, SecureBytes key, Clock clock, Revocations& revocations,
          ledger::Recorder* recorder);
  [[nodiscard]] std::string mac_of(std::string_view secret) const;
  loop::Task<void> write_uses(Owed owed);

  store::Database& database_;
  SecureBytes key_;
  Clock clock_;
  Revocations& revocations_;
  ledger::Recorder* recorder_;
  std::unordered_map<std::string, Entry> keys_;
};

}  // namespace cofferdam::identity

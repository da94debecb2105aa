// The room's face: everything that knows who somebody is, built from the state folder and the database, and the one
// question every request begins with.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "identity/admin.h"
#include "identity/api_keys.h"
#include "identity/namespaces.h"
#include "identity/principal.h"
#include "identity/revocations.h"
#include "identity/secrets.h"
#include "identity/throttle.h"
#include "identity/tokens.h"

namespace cofferdam::identity {

// What a request brought; views are good during the call. A bearer token wins over a client id.
struct Credentials {
  std::string_view bearer = {};
  std::string_view client_id = {};
  std::string_view client_secret = {};
};

struct IdentityOptions {
  std::string state_dir;
  Clock clock;
  NamespaceOf namespace_of;  // asked on the loop; what it uses outlives the Identity
  TokenLimits tokens;
  Throttle::Options throttle;
  ledger::Recorder* recorder = nullptr;  // null: nothing is written down; outlives the Identity
};

// Used on the loop only.
class Identity {
 public:
  // Makes STATE/admin.json, STATE/keys/token.key and STATE/keys/secrets.key at the first start. `database` has the
  // tables of schema.h and outlives this. Blocks.
  static Result<std::unique_ptr<Identity>> open(store::Database& database, const IdentityOptions& options);

  // Who asks. `kind` is what the route takes: client ids and control tokens, or runtime tokens alone. Unauthenticated,
  // PermissionDenied (a good token from the wrong place), ResourceExhausted (throttled; throttle().retry_after() says
  // how long). The peer of the Unix socket needs no question: local_administrator().
  Result<Principal> authenticate(const Credentials& credentials, TokenKind kind, const std::optional<Address>& source);

  [[nodiscard]] const Administrator& administrator() const { return administrator_; }
  [[nodiscard]] ApiKeys& api_keys() { return *api_keys_; }
  [[nodiscard]] Tokens& tokens() { return *tokens_; }
  [[nodiscard]] Namespaces& namespaces() { return *namespaces_; }
  [[nodiscard]] Secrets& secrets() { return *secrets_; }
  [[nodiscard]] Revocations& revocations() { return *revocations_; }
  [[nodiscard]] const Throttle& throttle() const { return throttle_; }

  // With its secrets, and the tokens that are good for it alone.
  loop::Task<void> remove_namespace(std::string id_or_slug);
  // To be called every few seconds.
  loop::Task<void> maintain();
  // The last act: writes what is still owed.
  loop::Task<void> close();

 private:
  Identity(Administrator administrator, Throttle throttle)
      : administrator_(std::move(administrator)), throttle_(std::move(throttle)) {}
  void write_refusal(const Credentials& credentials, const std::optional<Address>& source, const Error& error);
  void write_refusals();
  Result<Principal> look_up(const Credentials& credentials, TokenKind kind, const std::optional<Address>& source);

  Administrator administrator_;
  Throttle throttle_;
  // Refused credentials by source, since they were last written down: who guesses fills no disk.
  std::map<std::string, model::TokenRefused> refused_;
  ledger::Recorder* recorder_ = nullptr;
  std::unique_ptr<Revocations> revocations_ = std::make_unique<Revocations>();
  std::unique_ptr<ApiKeys> api_keys_;
  std::unique_ptr<Tokens> tokens_;
  std::unique_ptr<Namespaces> namespaces_;
  std::unique_ptr<Secrets> secrets_;
};

}  // namespace cofferdam::identity

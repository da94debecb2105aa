// The tokens of the host: minted, checked, listed, rotated, revoked. A check reads memory alone; every change is in the
// database before it is answered. Used on the loop only.
//
// `by` is who asks. It needs the verb `tokens`, deals with tokens inside its own scope only (others are NotFound), and
// never hands out more than it has.
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
#include "identity/token.h"
#include "identity/token_table.h"
#include "ledger/recorder.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::identity {

struct TokenLimits {
  std::chrono::seconds default_ttl = std::chrono::hours(24 * 30);
  std::chrono::seconds max_ttl = std::chrono::hours(24 * 365);
  std::chrono::seconds max_grace = std::chrono::hours(24);
  std::size_t max_live = 100'000;
  std::chrono::seconds ended_kept = std::chrono::hours(24 * 30);
};

// Whether those that a revoked token has minted end with it.
enum class Descendants { keep, revoke };

class Tokens {
 public:
  // Loads all live tokens. Blocks. `database`, `revocations`, `recorder` (null: nothing is written down) and what
  // `namespace_of` uses outlive this.
  static Result<std::unique_ptr<Tokens>> open(store::Database& database, SecureBytes key, Clock clock,
                                              NamespaceOf namespace_of, Revocations& revocations,
                                              const TokenLimits& limits, ledger::Recorder* recorder = nullptr);

  // Who presents this. Unauthenticated: malformed, unknown, expired, revoked, or of the other kind. PermissionDenied:
  // good, and not from this source (nullopt: a local socket).
  Result<Principal> check(std::string_view presented, TokenKind kind, const std::optional<Address>& source);

  // The only answer that holds the secret. PermissionDenied names what is wider than `by`.
  loop::Task<MintedToken> mint(Principal by, TokenRequest request);
  // A new secret for the same token; the old one stays good for `grace`.
  loop::Task<MintedToken> rotate(Principal by, std::string id, std::chrono::seconds grace);
  // In force when this is called: the next check fails and open streams hear of it, even if the database then does not
  // take it, which is the error that is answered. How many tokens ended.
  loop::Task<std::size_t> revoke(Principal by, std::string id, Descendants descendants);
  // For the house itself: what is gone needs no token. Tokens good for other workspaces too stay.
  loop::Task<std::size_t> forget_workspace(std::string workspace_id);
  loop::Task<std::size_t> forget_namespace(std::string namespace_id);

  // For a containment: tokens whose scope names the workspace, and all that these have minted.
  [[nodiscard]] std::vector<Token> reaching(const std::string& workspace_id) const;
  // For the house itself: all whose scope covers it, oldest first.
  [[nodiscard]] std::vector<Token> covering(const std::string& workspace_id, const std::string& namespace_id) const;
  // Ends them; those that have ended already are passed over. `why` is for the ledger.
  loop::Task<std::size_t> revoke_all(std::vector<std::string> ids, model::Origin by, std::string why);

  // Live ones, oldest first.
  [[nodiscard]] Result<std::vector<Token>> list(const Principal& by, const TokenFilter& filter) const;
  [[nodiscard]] Result<Token> get(const Principal& by, std::string_view id) const;
  // Ended ones, the latest first, for who may see the whole account; kept for TokenLimits::ended_kept.
  loop::Task<std::vector<Token>> history(Principal by, std::size_t limit);

  // To be called every few seconds: ends what has expired and tells of it, writes back last uses (each token's at most
  // once a minute), forgets what ended long ago.
  loop::Task<void> maintain();
  // Writes back the last uses that are still owed.
  loop::Task<void> close();

 private:
  struct Live {
    Token token;
    std::optional<Time> use_written_at;
    bool use_owed = false;
  };
  struct Secret {
    std::string token_id;
    std::uint64_t generation = 1;
    std::optional<Time> valid_until;
  };
  enum class Owed { due, all };

  Tokens(store::Database& database, SecureBytes key, Clock clock, NamespaceOf namespace_of, Revocations& revocations,
         const TokenLimits& limits, ledger::Recorder* recorder);
  [[nodiscard]] std::string mac_of(std::string_view secret) const;
  [[nodiscard]] Status may_manage(const Principal& by) const;
  [[nodiscard]] Result<const Live*> find(const Principal& by, std::string_view id) const;
  [[nodiscard]] Result<Token> new_token(const Principal& by, const TokenRequest& request) const;
  [[nodiscard]] std::vector<std::string> with_descendants(const std::string& id) const;
  void end(const std::string& id, Ended::Reason reason);
  void end_expired();
  // `by` and `why` are for the ledger: one of the two.
  loop::Task<std::size_t> end_all(std::vector<std::string> ids, model::Origin by, std::string why = {});
  void write_down(model::Origin by, const Scope& scope, model::Event event);
  loop::Task<void> write_uses(Owed owed);

  store::Database& database_;
  SecureBytes key_;
  Clock clock_;
  NamespaceOf namespace_of_;
  Revocations& revocations_;
  TokenLimits limits_;
  ledger::Recorder* recorder_;
  std::unordered_map<std::string, Live> live_;       // by id
  std::unordered_map<std::string, Secret> secrets_;  // by keyed hash: what is presented is never compared itself
  std::optional<Time> pruned_at_;
};

}  // namespace cofferdam::identity

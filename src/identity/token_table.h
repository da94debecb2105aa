// The rows of tokens and of the keyed hashes of their secrets. Each function runs in the caller's transaction.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "identity/token.h"
#include "store/connection.h"

namespace cofferdam::identity {

// One secret of a token: the newest, or an older one in its grace.
struct TokenSecret {
  std::string mac;
  std::string token_id;
  std::uint64_t generation = 1;
  std::optional<Time> valid_until;  // nullopt: as long as the token
};

struct TokenRows {
  std::vector<Token> tokens;
  std::vector<TokenSecret> secrets;
};

namespace token_table {

// Neither revoked nor expired, with the secrets that are good at `now`.
Result<TokenRows> load_live(store::Connection& c, Time now);
// Those that are over, the latest first.
Result<std::vector<Token>> load_ended(store::Connection& c, Time now, std::size_t limit);
Status insert(store::Connection& c, const Token& token, const TokenSecret& secret);
// The newest secret is replaced; it stays good until `old_until`, or ends now. Those before it end.
Status replace_secret(store::Connection& c, const TokenSecret& secret, std::optional<Time> old_until);
Status revoke(store::Connection& c, const std::vector<std::string>& ids, Time now);
Status set_last_used(store::Connection& c, const std::vector<std::pair<std::string, Time>>& uses);
// Forgets tokens that ended before `before`, and secrets whose grace is over at `now`.
Status prune(store::Connection& c, Time now, Time before);

}  // namespace token_table
}  // namespace cofferdam::identity

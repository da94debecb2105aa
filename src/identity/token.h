// A bearer credential as a value: everything but its secret, which is told once and kept nowhere.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "identity/grant.h"
#include "identity/token_text.h"

namespace cofferdam::identity {

struct Token {
  std::string id;  // "tok_…"
  TokenKind kind = TokenKind::runtime;
  Grant grant;  // always with an expiry
  std::string label;
  Time created_at;
  std::string created_by;        // the id of a principal
  std::uint64_t generation = 1;  // how many secrets it has had
  std::optional<Time> last_used_at, revoked_at;
};

struct TokenRequest {
  TokenKind kind = TokenKind::runtime;
  Scope scope;
  VerbSet verbs;                            // a runtime token: read, exec, files, network at most
  std::optional<std::chrono::seconds> ttl;  // nullopt: the default, or as long as the minting credential lives
  std::vector<Cidr> sources;                // empty: those of the minting credential
  std::string label;                        // at most 255 bytes, no control characters
};

struct MintedToken {
  Token token;
  std::string secret;
};

// Empty fields do not filter.
struct TokenFilter {
  std::string workspace_id = {};  // tokens whose scope names this workspace
  std::string namespace_id = {};  // tokens whose scope is this namespace
};

// What a runtime token may carry: what is done inside a workspace.
VerbSet runtime_verbs();
Status validate_label(std::string_view label);
bool matches(const Token& token, const TokenFilter& filter);

}  // namespace cofferdam::identity

// The text of our credentials: "cof_ctl_", "cof_rt_" or "cof_key_", 43 random digits of base 62 (256 bits), and six of
// a CRC-32 over all before, so that a cut or mistyped one is refused without being looked up.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::identity {

enum class TokenKind { control, runtime };
std::string_view kind_name(TokenKind kind);  // "control", "runtime"
Result<TokenKind> parse_kind(std::string_view name);

std::string new_token_text(TokenKind kind);
// Unauthenticated when it is none of ours, or was cut or changed. Says nothing of whether it exists.
Result<TokenKind> parse_token_text(std::string_view text);

// The secret of an API key. Its kind is no token's.
std::string new_client_secret();

// True when the text holds anything in the form of a control token or client secret, whole or cut: what should never
// enter a workspace. Runtime tokens are meant to be inside.
bool looks_like_control_token(std::string_view text);

}  // namespace cofferdam::identity

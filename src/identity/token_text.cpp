#include "identity/token_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/text.h"
#include "crypto/random.h"

namespace cofferdam::identity {
namespace {

constexpr std::string_view kControl = "cof_ctl_";
constexpr std::string_view kRuntime = "cof_rt_";
constexpr std::string_view kClientSecret = "cof_key_";
constexpr std::size_t kRandom = 43;
constexpr std::size_t kCheck = 6;
constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
// So much of a secret is no accident, and enough to be worth refusing.
constexpr std::size_t kTelling = 16;

// CRC-32 (IEEE 802.3): finds every change of up to 32 bits in a row.
std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  return ~crc;
}

std::string check_of(std::string_view body) {
  std::string check(kCheck, '0');
  auto rest = crc32(body);
  for (auto digit = check.rbegin(); digit != check.rend(); ++digit, rest /= 62) *digit = kDigits[rest % 62];
  return check;
}

std::string make(std::string_view prefix) {
  std::string text(prefix);
  text += crypto::random_base62(kRandom).view();
  return text + check_of(text);
}

std::size_t count_digits(std::string_view text) { return std::min(text.find_first_not_of(kDigits), text.size()); }

}  // namespace

std::string_view kind_name(TokenKind kind) { return kind == TokenKind::control ? "control" : "runtime"; }

Result<TokenKind> parse_kind(std::string_view name) {
  if (name == "control") return TokenKind::control;
  if (name == "runtime") return TokenKind::runtime;
  return fail(Code::InvalidArgument, cat("'", name.substr(0, 64), "' is no kind of token"), "use control or runtime");
}

std::string new_token_text(TokenKind kind) { return make(kind == TokenKind::control ? kControl : kRuntime); }

std::string new_client_secret() { return make(kClientSecret); }

Result<TokenKind> parse_token_text(std::string_view text) {
  const bool control = starts_with(text, kControl);
  if (!control && !starts_with(text, kRuntime)) {
    return fail(Code::Unauthenticated, "the bearer credential is no token of this host",
                cat("tokens begin with ", kControl, " or ", kRuntime));
  }
  const auto secret = text.substr(control ? kControl.size() : kRuntime.size());
  const auto body = text.substr(0, text.size() - std::min(kCheck, text.size()));
  if (secret.size() != kRandom + kCheck || count_digits(secret) != secret.size() ||
      text.substr(body.size()) != check_of(body)) {
    return fail(Code::Unauthenticated, "the token was cut or changed on its way here", "copy it again, whole");
  }
  return control ? TokenKind::control : TokenKind::runtime;
}

bool looks_like_control_token(std::string_view text) {
  for (const auto prefix : {kControl, kClientSecret}) {
    for (auto at = text.find(prefix); at != std::string_view::npos; at = text.find(prefix, at + 1)) {
      if (count_digits(text.substr(at + prefix.size())) >= kTelling) return true;
    }
  }
  return false;
}

}  // namespace cofferdam::identity

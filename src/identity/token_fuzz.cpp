// Whatever text is taken for a token has the form of one, and loses it with any one character changed or cut.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/bytes.h"
#include "identity/token_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  const std::string text(as_text({data, size}));
  const auto kind = identity::parse_token_text(text);
  const bool telling = identity::looks_like_control_token(text);
  if (!kind) return 0;
  if (text.size() > 57 || text.find('\0') != std::string::npos) std::abort();
  if (telling != (*kind == identity::TokenKind::control)) std::abort();
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    if (identity::parse_token_text(changed) || identity::parse_token_text(text.substr(0, i))) std::abort();
  }
  return 0;
}

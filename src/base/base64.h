// Base64 (RFC 4648, with padding), strict: what is decoded encodes to the same text again.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam {

std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);

}  // namespace cofferdam

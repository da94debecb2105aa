// RFC 3339 text of times, always UTC with milliseconds.
#pragma once
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam {

std::string format_rfc3339(std::chrono::system_clock::time_point time);  // "2026-01-31T23:59:59.123Z"

// The same, or with other fractions of a second or none, or a day alone, which is its beginning. InvalidArgument.
Result<std::chrono::system_clock::time_point> parse_rfc3339(std::string_view text);

}  // namespace cofferdam

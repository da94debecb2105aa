// RFC 3339 text of times, always UTC with milliseconds.
#pragma once
#include <chrono>
#include <string>

#include "base/result.h"

namespace cofferdam {

std::string format_rfc3339(std::chrono::system_clock::time_point time);  // "2026-01-31T23:59:59.123Z"

// The same, with or without a fraction. InvalidArgument: another form or zone.
Result<std::chrono::system_clock::time_point> parse_rfc3339(const std::string& text);

}  // namespace cofferdam

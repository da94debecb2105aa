// RFC 3339 text of times, always UTC with milliseconds.
#pragma once
#include <chrono>
#include <string>

namespace cofferdam {

std::string format_rfc3339(std::chrono::system_clock::time_point time);  // "2026-01-31T23:59:59.123Z"

}  // namespace cofferdam

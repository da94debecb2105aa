// Request targets: strict decoding of paths and queries, and encoding.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cofferdam::http {

inline constexpr std::size_t kMaxTarget = 8U << 10;  // bytes, encoded

struct Target {
  std::vector<std::string> segments;                       // decoded; "/" has none, "/a/" has {"a"}
  std::vector<std::pair<std::string, std::string>> query;  // decoded, '+' is a blank
};

// "/path?query" in origin form. InvalidArgument: not that form, longer than 8 KiB, more than 64 segments or 64
// parameters, an invalid escape, a NUL or a control character, an empty segment in the middle, "." or "..".
Result<Target> parse_target(std::string_view target);

// Undoes %XX only. InvalidArgument: an escape that is not one, a NUL.
Result<std::string> percent_decode(std::string_view text);
// Everything but letters, digits and "-._~" as %XX: fit for one segment or one query value.
std::string percent_encode(std::string_view text);

}  // namespace cofferdam::http

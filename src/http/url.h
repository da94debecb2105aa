// Request targets: strict decoding of paths and queries, and encoding.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace cofferdam::http {

using QueryItems = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::size_t kMaxQueryItems = 64;
inline constexpr std::size_t kMaxTarget = 8U << 10;  // bytes, encoded

struct Target {
  // Decoded once; "/" has none, "/a/" has {"a"}. A "/" within one was "%2F": who matches a path refuses it, since the
  // next to read that path may not tell the two apart.
  std::vector<std::string> segments;
  QueryItems query;
};

// "/path?query" in origin form. InvalidArgument: not that form, longer than 8 KiB, more than 64 segments or 64
// parameters, an invalid escape, a NUL or a control character, an empty segment in the middle, "." or "..".
Result<Target> parse_target(std::string_view target);
// What stands behind the '?', decoded once, '+' as a blank; a name may come again, and the order is kept. An item
// without
// '=' has an empty value. InvalidArgument: more than 64 items, an invalid escape, a NUL.
Result<QueryItems> parse_query(std::string_view query);

// Undoes %XX only. InvalidArgument: an escape that is not one, a NUL.
Result<std::string> percent_decode(std::string_view text);
// Everything but letters, digits and "-._~" as %XX: fit for one segment or one query value.
std::string percent_encode(std::string_view text);

}  // namespace cofferdam::http

#include "guest/glob.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/text.h"

namespace cofferdam::guest {
namespace {

struct Step {
  bool fits = false;
  std::size_t next = 0;  // in the pattern, behind what was compared
};

// A set that is never closed is an ordinary bracket.
std::optional<Step> step_set(std::string_view pattern, std::size_t at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  const auto value = static_cast<unsigned char>(c);
  bool found = false;
  for (std::size_t first = i; i < pattern.size(); ++i) {
    if (pattern[i] == ']' && i != first) return Step{found != negated, i + 1};
    const auto low = static_cast<unsigned char>(pattern[i]);
    auto high = low;
    if (i + 2 < pattern.size() && pattern[i + 1] == '-' && pattern[i + 2] != ']') {
      high = static_cast<unsigned char>(pattern[i + 2]);
      i += 2;
    }
    found = found || (low <= value && value <= high);
  }
  return std::nullopt;
}

Step step(std::string_view pattern, std::size_t at, char c) {
  const char expected = pattern[at];
  if (expected == '?') return {true, at + 1};
  if (expected == '\\' && at + 1 < pattern.size()) return {pattern[at + 1] == c, at + 2};
  if (expected == '[') {
    if (const auto set = step_set(pattern, at, c)) return *set;
  }
  return {expected == c, at + 1};
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  // Only the last star is ever gone back to: an earlier one that took more would leave this one less.
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    if (p < pattern.size()) {
      const Step compared = step(pattern, p, text[t]);
      if (compared.fits) {
        p = compared.next;
        ++t;
        continue;
      }
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    t = ++star_text;
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

Result<Excludes> Excludes::create(const std::vector<std::string>& patterns) {
  Excludes excludes;
  for (const std::string& given : patterns) {
    const std::size_t first = given.find_first_not_of('/');
    if (first == std::string::npos || given.find('\0') != std::string::npos) {
      return fail(Code::InvalidArgument, cat("'", given, "' is no pattern to leave files out by"));
    }
    const std::string pattern = given.substr(first, given.find_last_not_of('/') + 1 - first);
    const bool whole_path = first != 0 || pattern.find('/') != std::string::npos;
    (whole_path ? excludes.paths_ : excludes.names_).push_back(pattern);
  }
  return excludes;
}

bool Excludes::fits(std::string_view path, std::string_view name) const {
  const auto matches = [](std::string_view text) {
    return [text](const std::string& pattern) { return glob_matches(pattern, text); };
  };
  return std::any_of(names_.begin(), names_.end(), matches(name)) ||
         std::any_of(paths_.begin(), paths_.end(), matches(path));
}

}  // namespace cofferdam::guest

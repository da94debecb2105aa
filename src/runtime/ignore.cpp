#include "runtime/ignore.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::runtime {
namespace {

constexpr std::size_t kMaxFile = 64U << 10;
constexpr std::size_t kMaxRules = 1000;
constexpr std::size_t kMaxPattern = 1024;

std::string_view last_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

Glob::Glob(std::string_view pattern) {
  pattern = pattern.substr(0, kMaxPattern);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    Token token;
    token.literal = pattern[i];
    const bool at_part = i == 0 || pattern[i - 1] == '/';
    if (pattern[i] == '*' && pattern.substr(i, 3) == "**/" && at_part) {
      token.kind = Kind::maybe_folders;
      tokens_.push_back(token);
      token.kind = Kind::folders;
      i += 2;
    } else if (pattern.substr(i, 2) == "**") {
      token.kind = Kind::all;
      ++i;
    } else if (pattern[i] == '*') {
      token.kind = Kind::star;
    } else if (pattern[i] == '?') {
      token.kind = Kind::one;
    } else if (pattern[i] == '\\' && i + 1 < pattern.size()) {
      token.literal = pattern[++i];
    } else if (pattern[i] == '[') {
      std::size_t at = i + 1;
      token.negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
      if (token.negated) ++at;
      const std::size_t first = at;
      while (at < pattern.size() && (pattern[at] != ']' || at == first)) {
        const char from = pattern[at];
        const bool range = at + 2 < pattern.size() && pattern[at + 1] == '-' && pattern[at + 2] != ']';
        token.set.push_back(from);
        token.set.push_back(range ? pattern[at + 2] : from);
        at += range ? 3 : 1;
      }
      // One that is never closed is a bracket.
      if (at < pattern.size()) {
        token.kind = Kind::set;
        i = at;
      } else {
        token.negated = false;
      }
    }
    tokens_.push_back(std::move(token));
  }
}

bool Glob::takes(const Token& token, char c) {
  switch (token.kind) {
    case Kind::literal:
      return token.literal == c;
    case Kind::one:
    case Kind::star:
      return c != '/';
    case Kind::all:
    case Kind::folders:
      return true;
    case Kind::maybe_folders:
      return false;
    case Kind::set:
      break;
  }
  if (c == '/') return false;
  const auto byte = [](char one) { return static_cast<std::uint8_t>(one); };
  for (std::size_t i = 0; i + 1 < token.set.size(); i += 2) {
    if (byte(token.set[i]) <= byte(c) && byte(c) <= byte(token.set[i + 1])) return !token.negated;
  }
  return token.negated;
}

// Adds what can be reached without a character.
void Glob::close(std::vector<char>& states) const {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (states[i] == 0) continue;
    const Kind kind = tokens_[i].kind;
    if (kind == Kind::star || kind == Kind::all) states[i + 1] = 1;
    if (kind == Kind::maybe_folders) states[i + 1] = states[i + 2] = 1;
  }
}

bool Glob::matches(std::string_view text) const {
  std::vector<char> now(tokens_.size() + 1, 0), next(tokens_.size() + 1, 0);
  now[0] = 1;
  close(now);
  for (const char c : text) {
    std::fill(next.begin(), next.end(), 0);
    bool any = false;
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (now[i] == 0 || !takes(tokens_[i], c)) continue;
      any = true;
      const Kind kind = tokens_[i].kind;
      const bool stays = kind == Kind::star || kind == Kind::all || kind == Kind::folders;
      if (stays) next[i] = 1;
      if (!stays || (kind == Kind::folders && c == '/')) next[i + 1] = 1;
    }
    if (!any) return false;
    close(next);
    std::swap(now, next);
  }
  return now.back() != 0;
}

IgnoreList::IgnoreList(const std::vector<std::string>& patterns) {
  for (std::string_view pattern : patterns) {
    while (pattern.starts_with('/')) pattern.remove_prefix(1);
    while (pattern.ends_with('/')) pattern.remove_suffix(1);
    if (pattern.empty()) continue;
    (pattern.find('/') == std::string_view::npos ? names_ : paths_).emplace_back(pattern);
  }
}

bool IgnoreList::fits(std::string_view path, std::string_view name) const {
  const auto any = [](const std::vector<Glob>& globs, std::string_view text) {
    return std::any_of(globs.begin(), globs.end(), [&](const Glob& glob) { return glob.matches(text); });
  };
  return any(names_, name) || any(paths_, path);
}

IgnoreRules::IgnoreRules(std::string_view text) {
  text = text.substr(0, kMaxFile);
  for (const auto& raw : split(text, '\n')) {
    std::string_view line = raw;
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (line.ends_with(' ') && !line.ends_with("\\ ")) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const bool negated = line.starts_with('!');
    if (negated) line.remove_prefix(1);
    const bool folders_only = line.ends_with('/');
    if (folders_only) line.remove_suffix(1);
    const bool by_name = line.find('/') == std::string_view::npos;
    if (line.starts_with('/')) line.remove_prefix(1);
    if (line.empty()) continue;
    rules_.push_back({Glob(line), negated, folders_only, by_name});
    if (rules_.size() == kMaxRules) break;
  }
}

IgnoreRules::Verdict IgnoreRules::judge(std::string_view path, Entry entry) const {
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->folders_only && entry == Entry::file) continue;
    if (rule->glob.matches(rule->by_name ? last_part(path) : path)) {
      return rule->negated ? Verdict::kept : Verdict::ignored;
    }
  }
  return Verdict::none;
}

}  // namespace cofferdam::runtime

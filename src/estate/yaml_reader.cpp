#include "estate/yaml_reader.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"

namespace cofferdam::estate {
namespace {

constexpr std::size_t kMaxItems = 100'000;
constexpr double kPerWhole = 1000.0;
constexpr double kMostWhole = 1e6;

}  // namespace

Status YamlReader::entries(const Yaml& node, std::string_view what,
                           const std::function<Status(const std::string&, const Yaml&)>& take) const {
  if (node.kind != Yaml::Kind::map) return bad(node.mark, cat(what, " must be a mapping"));
  std::set<std::string> seen;
  for (const auto& pair : node.entries) {
    TRY_ASSIGN(const std::string key, text(pair.first, cat("a key of ", what)));
    if (!seen.insert(key).second) return bad(pair.first.mark, cat("'", key, "' is given twice"));
    if (seen.size() > kMaxItems) return bad(pair.first.mark, cat(what, " has too many entries"));
    TRY(take(key, pair.second));
  }
  return {};
}

Status YamlReader::mapping(const Yaml& node, std::string_view what, const std::map<std::string, Field>& fields) const {
  if (node.kind != Yaml::Kind::map) return bad(node.mark, cat(what, " must be a mapping"));
  for (const auto& pair : node.entries) {
    TRY_ASSIGN(const std::string key, text(pair.first, cat("a key of ", what)));
    if (fields.count(key) > 0) continue;
    std::string known;
    for (const auto& [name, unused] : fields) known += cat(known.empty() ? "" : ", ", name);
    return bad(pair.first.mark, cat("unknown key '", key.substr(0, 64), "' in ", what, " (known: ", known, ")"));
  }
  return entries(node, what, [&](const std::string& key, const Yaml& value) { return fields.at(key)(value); });
}

Status YamlReader::items(const Yaml& node, std::string_view what, const Field& take) const {
  if (node.kind != Yaml::Kind::list) return bad(node.mark, cat(what, " must be a list"));
  if (node.items.size() > kMaxItems) return bad(node.mark, cat(what, " has too many entries"));
  for (const auto& item : node.items) TRY(take(item));
  return {};
}

Result<std::string> YamlReader::text(const Yaml& node, std::string_view what) const {
  if (node.kind != Yaml::Kind::scalar) return bad(node.mark, cat(what, " must be a text"));
  if (node.text.find('\0') != std::string::npos) return bad(node.mark, cat(what, " holds a NUL byte"));
  return node.text;
}

Result<std::vector<std::string>> YamlReader::texts(const Yaml& node, std::string_view what) const {
  std::vector<std::string> all;
  TRY(items(node, what, [&](const Yaml& item) -> Status {
    TRY_ASSIGN(auto one, text(item, cat("an entry of ", what)));
    all.push_back(std::move(one));
    return {};
  }));
  return all;
}

Result<std::uint64_t> YamlReader::number(const Yaml& node, std::string_view what, std::uint64_t max) const {
  TRY_ASSIGN(const auto digits, text(node, what));
  const auto value = parse_int(what, digits, 0, static_cast<std::int64_t>(std::min<std::uint64_t>(max, INT64_MAX)));
  if (!value) return bad(node.mark, value.error().message);
  return static_cast<std::uint64_t>(*value);
}

Result<std::uint32_t> YamlReader::thousandths(const Yaml& node, std::string_view what) const {
  TRY_ASSIGN(const auto digits, text(node, what));
  const bool plain = !digits.empty() && digits.find_first_not_of("0123456789.") == std::string::npos &&
                     std::count(digits.begin(), digits.end(), '.') <= 1 && digits != ".";
  const double value = plain ? std::strtod(digits.c_str(), nullptr) : -1;
  if (!(value >= 0 && value <= kMostWhole)) return bad(node.mark, cat(what, " must be a number such as 0.5 or 2"));
  return static_cast<std::uint32_t>(std::llround(value * kPerWhole));
}

Result<bool> YamlReader::flag(const Yaml& node, std::string_view what) const {
  TRY_ASSIGN(const auto word, one_of(node, what, {"true", "false"}));
  return word == "true";
}

Result<std::chrono::milliseconds> YamlReader::period(const Yaml& node, std::string_view what) const {
  TRY_ASSIGN(const auto word, text(node, what));
  auto value = parse_duration(word);
  if (!value) return bad(node.mark, cat(what, ": ", value.error().message));
  return *value;
}

Result<std::string> YamlReader::one_of(const Yaml& node, std::string_view what,
                                       const std::vector<std::string>& words) const {
  TRY_ASSIGN(auto word, text(node, what));
  if (std::find(words.begin(), words.end(), word) != words.end()) return word;
  std::string known;
  for (const auto& one : words) known += cat(known.empty() ? "" : ", ", one);
  return bad(node.mark, cat(what, " must be one of: ", known));
}

YamlReader::Field YamlReader::into(std::string& target, std::string_view what) const {
  return [this, &target, what = std::string(what)](const Yaml& node) -> Status {
    TRY_ASSIGN(target, text(node, what));
    return {};
  };
}

YamlReader::Field YamlReader::into(std::vector<std::string>& target, std::string_view what) const {
  return [this, &target, what = std::string(what)](const Yaml& node) -> Status {
    TRY_ASSIGN(target, texts(node, what));
    return {};
  };
}

}  // namespace cofferdam::estate

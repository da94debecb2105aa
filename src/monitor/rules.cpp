#include "monitor/rules.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr std::uint64_t kMiB = 1U << 20;
constexpr std::uint64_t kMaxPercent = 100;
constexpr std::uint64_t kMaxCount = 1'000'000;
constexpr milliseconds kLongest = std::chrono::hours(24);
constexpr milliseconds kLongestDrill = std::chrono::hours(24 * 400);

enum class Unit { none, percent, bytes, count };

// What a kind of rule goes by; a time of zero is not a parameter of it.
struct KindInfo {
  std::string_view name;
  Unit over;
  std::uint64_t over_default, io_default;
  milliseconds within, hold, after;
  bool of_workspace, guests_word;
};

// In the order of RuleKind.
constexpr std::array<KindInfo, kRuleKinds> kKinds{{
    {"cpu", Unit::percent, 90, 0, 0ms, 60s, 0ms, true, false},
    {"miner", Unit::percent, 90, 64U << 10, 0ms, 120s, 0ms, true, false},
    {"bytes_out", Unit::bytes, 1024 * kMiB, 0, 1h, 0ms, 0ms, true, false},
    {"new_destination", Unit::none, 0, 0, 0ms, 0ms, 1h, true, false},
    {"denied", Unit::count, 50, 0, 10s, 0ms, 0ms, true, false},
    {"disk_growth", Unit::bytes, 1024 * kMiB, 0, 60s, 0ms, 0ms, true, false},
    {"stray_process", Unit::none, 0, 0, 0ms, 10s, 0ms, true, true},
    {"new_executable", Unit::none, 0, 0, 0ms, 60s, 0ms, true, true},
    {"failed_auth", Unit::count, 10, 0, 60s, 0ms, 0ms, false, false},
    {"token_address", Unit::none, 0, 0, 0ms, 0ms, 0ms, false, false},
    {"drill", Unit::none, 0, 0, 0ms, 0ms, std::chrono::hours(24 * 30), true, false},
}};

const KindInfo& info_of(RuleKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }

Rule default_rule(RuleKind kind) {
  const auto& info = info_of(kind);
  Rule rule;
  rule.kind = kind;
  rule.over = info.over_default;
  rule.io = info.io_default;
  rule.within = info.within;
  rule.hold = info.hold;
  rule.after = info.after;
  return rule;
}

Result<std::uint64_t> parse_over(Unit unit, const std::string& value) {
  if (unit == Unit::bytes) return parse_size(value);
  const std::string_view digits = unit == Unit::percent && value.ends_with('%')
                                      ? std::string_view(value).substr(0, value.size() - 1)
                                      : std::string_view(value);
  const auto most = unit == Unit::percent ? kMaxPercent : kMaxCount;
  TRY_ASSIGN(const auto number, parse_int("'over'", digits, 0, static_cast<std::int64_t>(most)));
  return static_cast<std::uint64_t>(number);
}

Status set_time(milliseconds& target, std::string_view name, const std::string& value,
                milliseconds longest = kLongest) {
  TRY_ASSIGN(target, parse_duration(value));
  if (target >= 0ms && target <= longest) return {};
  return fail(Code::InvalidArgument,
              cat("'", name, "' must be at most ", longest / 24h == 1 ? "a day" : cat(longest / 24h, " days")));
}

// "key=value". InvalidArgument: the kind has no such parameter, or that is not a value for it.
Status set_parameter(Rule& rule, const std::string& word) {
  const auto& info = info_of(rule.kind);
  const auto equals = word.find('=');
  const std::string key = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
  if (word == "off" || word == "on") {
    rule.on = word == "on";
    return {};
  }
  if (value.empty()) return fail(Code::InvalidArgument, cat("'", word, "' is not of the form KEY=VALUE"));
  if (key == "action") {
    if (value != "tell" && value != "contain") return fail(Code::InvalidArgument, "'action' is tell or contain");
    rule.action = value == "contain" ? RuleAction::contain : RuleAction::tell;
    if (rule.action == RuleAction::tell || info.of_workspace) return {};
    return fail(Code::InvalidArgument, "it is about no workspace, so there is nothing to contain");
  }
  if (key == "workspace" && info.of_workspace) {
    rule.workspace = value;
    return {};
  }
  if (key == "namespace" && info.of_workspace) {
    rule.name_space = value;
    return {};
  }
  if (key == "over" && info.over != Unit::none) {
    TRY_ASSIGN(rule.over, parse_over(info.over, value));
    return {};
  }
  if (key == "io" && info.io_default != 0) {
    TRY_ASSIGN(rule.io, parse_size(value));
    return {};
  }
  if (key == "within" && info.within != 0ms) {
    TRY(set_time(rule.within, key, value));
    return rule.within >= 1s ? Status{} : fail(Code::InvalidArgument, "'within' must be at least 1s");
  }
  if (key == "for" && info.hold != 0ms) return set_time(rule.hold, key, value);
  if (key == "after" && info.after != 0ms) {
    return set_time(rule.after, key, value, rule.kind == RuleKind::drill ? kLongestDrill : kLongest);
  }
  return fail(Code::InvalidArgument, cat("it has no parameter '", key, "'"));
}

Result<Rule> parse_rule(const std::string& text) {
  std::vector<std::string> words;
  for (const auto& word : split(text, ' ')) {
    if (!trim(word).empty()) words.emplace_back(trim(word));
  }
  if (words.empty()) return fail(Code::InvalidArgument, "it is empty");
  const auto* kind =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const KindInfo& info) { return info.name == words.front(); });
  if (kind == kKinds.end()) {
    std::string names;
    for (const auto& info : kKinds) names += cat(names.empty() ? "" : ", ", info.name);
    return fail(Code::InvalidArgument, cat("'", words.front(), "' is none of ", names));
  }
  Rule rule = default_rule(static_cast<RuleKind>(kind - kKinds.begin()));
  for (std::size_t i = 1; i < words.size(); ++i) TRY(set_parameter(rule, words[i]));
  if (!rule.workspace.empty() && !rule.name_space.empty()) {
    return fail(Code::InvalidArgument, "'workspace' and 'namespace' exclude each other");
  }
  return rule;
}

std::string duration_text(milliseconds time) {
  return time.count() % 1000 == 0 ? cat(time.count() / 1000, "s") : cat(time.count(), "ms");
}

}  // namespace

std::string_view rule_name(RuleKind kind) { return info_of(kind).name; }
bool is_of_workspace(RuleKind kind) { return info_of(kind).of_workspace; }
bool is_guests_word(RuleKind kind) { return info_of(kind).guests_word; }

std::string Rule::text() const {
  const auto& info = info_of(kind);
  std::string words(info.name);
  if (!on) words += " off";
  if (info.over != Unit::none) words += cat(" over=", over);
  if (info.io_default != 0) words += cat(" io=", io);
  if (info.within != 0ms) words += cat(" within=", duration_text(within));
  if (info.hold != 0ms) words += cat(" for=", duration_text(hold));
  if (info.after != 0ms) words += cat(" after=", duration_text(after));
  if (!workspace.empty()) words += cat(" workspace=", workspace);
  if (!name_space.empty()) words += cat(" namespace=", name_space);
  if (action == RuleAction::contain) words += " action=contain";
  return words;
}

Rules::Rules() {
  for (std::size_t i = 0; i < kRuleKinds; ++i) rules_.push_back(default_rule(static_cast<RuleKind>(i)));
}

Result<Rules> Rules::parse(const std::vector<std::string>& texts) {
  Rules rules;
  if (texts.size() > kMaxRules) return fail(Code::InvalidArgument, cat("there are more than ", kMaxRules, " rules"));
  for (const auto& text : texts) {
    auto rule = parse_rule(text);
    if (!rule) return fail(std::move(rule.error()).in(cat("the rule '", text, "'")));
    rules.rules_.push_back(std::move(*rule));
  }
  return rules;
}

Rules::InForce Rules::for_workspace(std::string_view id, std::string_view name, std::string_view namespace_id,
                                    std::string_view namespace_slug) const {
  enum Closeness { of_host, of_space, of_one };
  InForce chosen{};
  std::array<Closeness, kRuleKinds> closeness{};
  for (const auto& rule : rules_) {
    if (!rule.workspace.empty() && rule.workspace != id && rule.workspace != name) continue;
    if (!rule.name_space.empty() && rule.name_space != namespace_id && rule.name_space != namespace_slug) continue;
    const auto of_rule = !rule.workspace.empty() ? of_one : !rule.name_space.empty() ? of_space : of_host;
    const auto kind = static_cast<std::size_t>(rule.kind);
    if (chosen.at(kind) != nullptr && closeness.at(kind) > of_rule) continue;
    chosen.at(kind) = &rule;
    closeness.at(kind) = of_rule;
  }
  for (auto& rule : chosen) {
    if (rule != nullptr && !rule->on) rule = nullptr;
  }
  return chosen;
}

const Rule* Rules::for_host(RuleKind kind) const {
  const auto last =
      std::find_if(rules_.rbegin(), rules_.rend(), [kind](const Rule& rule) { return rule.kind == kind; });
  return last != rules_.rend() && last->on ? &*last : nullptr;
}

const Rule* Rules::containing() const {
  const auto found = std::find_if(rules_.begin(), rules_.end(),
                                  [](const Rule& rule) { return rule.on && rule.action == RuleAction::contain; });
  return found == rules_.end() ? nullptr : &*found;
}

}  // namespace cofferdam::monitor

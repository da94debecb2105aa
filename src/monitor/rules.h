// The rules of alerts: what is looked for, for whom, and what happens then.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::monitor {

enum class RuleKind : std::uint8_t {
  cpu,              // above `over` percent of what it was promised, for `hold`
  miner,            // the same, flat within kFlatPoints and with less than `io` bytes a second of disk and network
  bytes_out,        // more than `over` bytes leave it `within`
  new_destination,  // a connection to where it never was, once it is older than `after`
  denied,           // more than `over` refused connections `within`
  disk_growth,      // its disk's file grows by more than `over` bytes `within`
  stray_process,    // none of its ancestors is a command that was started, for `hold`; the guest's own word
  new_executable,   // its program was written after the boot, and it has run for `hold`; the guest's own word
  failed_auth,      // more than `over` wrong credentials from one address `within`
  token_address,    // a token is used from an address it was never used from
  drill,            // none of its snapshots was brought back for longer than `after`, or the last try has failed
};
inline constexpr std::size_t kRuleKinds = 11;
inline constexpr double kFlatPoints = 10;

std::string_view rule_name(RuleKind kind);
// Whether it is about a workspace; else it is about the host.
bool is_of_workspace(RuleKind kind);
// Whether what it goes by comes from inside the guest, which may lie.
bool is_guests_word(RuleKind kind);

enum class RuleAction : std::uint8_t { tell, contain };

struct Rule {
  RuleKind kind = RuleKind::cpu;
  bool on = true;
  RuleAction action = RuleAction::tell;
  std::string workspace, name_space;  // id or name, id or slug; both empty: for all
  std::uint64_t over = 0, io = 0;
  std::chrono::milliseconds within{0}, hold{0}, after{0};

  [[nodiscard]] std::string text() const;  // as parse() reads it
};

class Rules {
 public:
  static constexpr std::size_t kMaxRules = 256;
  using InForce = std::array<const Rule*, kRuleKinds>;  // by kind; null: off

  // Those that are on by default, for all.
  Rules();
  // Each on top of those before: "cpu over=90 for=60s workspace=web", "denied off namespace=team",
  // "bytes_out over=1G within=1h action=contain". What is not said is as by default. InvalidArgument names the rule.
  static Result<Rules> parse(const std::vector<std::string>& texts);

  // The last that fits, of those that name the workspace, else of those that name its namespace, else of all.
  [[nodiscard]] InForce for_workspace(std::string_view id, std::string_view name, std::string_view namespace_id,
                                      std::string_view namespace_slug) const;
  [[nodiscard]] const Rule* for_host(RuleKind kind) const;
  [[nodiscard]] const std::vector<Rule>& all() const { return rules_; }
  // The first that asks for containment; null: none.
  [[nodiscard]] const Rule* containing() const;

 private:
  std::vector<Rule> rules_;
};

}  // namespace cofferdam::monitor

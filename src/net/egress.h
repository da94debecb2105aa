// What a workspace may reach, as its user writes it, and the gate's rules it stands for.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gate/policy.h"
#include "model/danger.h"

namespace cofferdam::net {

inline constexpr std::size_t kMaxEgress = 50;

// The default is nothing at all.
struct Egress {
  // Entries: "pypi.org", "*.debian.org", "203.0.113.0/24", each with ":443", ":8000-8080" or nothing behind it; the
  // name of a preset. In front of a name, "tcp://" looks at no byte (SSH and the like), and "strict://" also refuses
  // ECH. At most kMaxEgress.
  std::vector<std::string> entries;
  gate::Ports ports;  // of entries that say none; empty: 443 and 80
  // With no entries: every public address, port and name. Beside entries it says nothing more.
  std::optional<model::OpenInternet> internet;
  bool operator==(const Egress&) const = default;

  [[nodiscard]] bool open() const { return internet && entries.empty(); }
  [[nodiscard]] bool nothing() const { return !internet && entries.empty(); }
};

// Named lists of entries, from data files: one a line, '#' starts a comment.
class Presets {
 public:
  // The files in `folder` but for README.md; an absent folder has none. InvalidArgument names file and line.
  static Result<Presets> load(const std::string& folder);
  [[nodiscard]] const std::vector<std::string>* find(std::string_view name) const;
  [[nodiscard]] std::string names() const;  // "debian, github"

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> lists_;
};

struct EgressRules {
  std::vector<gate::NameRule> names;
  std::vector<gate::RangeRule> ranges;
};
// InvalidArgument names the entry, as "/egress/3".
Result<EgressRules> compile(const Egress& egress, const Presets& presets);

// "443", "443,8000-8080". InvalidArgument: none, too many, or out of range.
Result<gate::Ports> parse_ports(std::string_view text);
std::string ports_text(const gate::Ports& ports);

}  // namespace cofferdam::net

// What is out of the ordinary in one workspace, found in what the looks at it say. No clock of its own: every call says
// when it is, by a clock that never jumps.
#pragma once
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "monitor/rules.h"
#include "monitor/sample.h"
#include "net/flow_log.h"

namespace cofferdam::monitor {

using Evidence = std::vector<std::pair<std::string, std::string>>;

// Told again as long as it is so.
struct Finding {
  const Rule* rule = nullptr;  // never null
  std::string key;             // what of this kind it is about: a destination, a program; may be empty
  std::string cause;           // one sentence
  Evidence evidence;
};
using Findings = std::vector<Finding>;

// A sum over the last while, in at most kParts pieces.
class Window {
 public:
  void add(Steady at, std::uint64_t amount, std::chrono::milliseconds length);
  [[nodiscard]] std::uint64_t sum() const { return sum_; }
  void clear();

 private:
  static constexpr int kParts = 60;
  std::deque<std::pair<Steady, std::uint64_t>> parts_;
  std::uint64_t sum_ = 0;
};

struct SeenProcess {
  vm::GuestProcessInfo info;
  std::string executable;          // empty: not known
  std::optional<Time> written_at;  // the executable, as the guest says
};

class Detector {
 public:
  void use(const Rules::InForce& rules) { rules_ = rules; }

  Findings sampled(const Sample& sample);
  // It stands still, or runs anew: what takes a while begins from the start.
  void rests();
  Findings refused(const net::Flow& flow, Steady at);
  // To a destination where the workspace never was. `age` of the workspace.
  Findings reached_anew(const std::string& destination, const net::Flow& flow, std::chrono::milliseconds age) const;
  // What is known of its drills.
  [[nodiscard]] Findings drilled(const Watched& workspace, Time now) const;
  Findings looked(const std::vector<SeenProcess>& processes, Time booted_at, Steady at);
  // Its disk had this size when its machine began, which was not long before `at`.
  void began_with(Steady at, std::uint64_t disk_allocated_bytes);

 private:
  static constexpr std::size_t kMaxFindings = 8;  // of one look
  struct Run {
    std::optional<Steady> since;
    double least = 0, most = 0;
  };
  struct Size {
    Steady at;
    std::uint64_t bytes = 0;
  };
  using Suspects = std::map<std::uint32_t, std::pair<std::string, Steady>>;  // by pid: the command, and since when
  [[nodiscard]] const Rule* rule(RuleKind kind) const { return rules_.at(static_cast<std::size_t>(kind)); }
  void check_cpu(const Sample& sample, Findings& findings);
  void check_miner(const Sample& sample, Findings& findings);
  void check_bytes_out(const Sample& sample, Findings& findings);
  void check_growth(const Sample& sample, Findings& findings);
  // Whether the suspect has been one for as long as the rule says.
  static bool holds(Suspects& suspects, const SeenProcess& process, Steady at, const Rule& rule);

  Rules::InForce rules_{};
  Run busy_, flat_;
  Window out_, denied_;
  std::deque<Size> sizes_;
  Suspects strays_, written_;
};

}  // namespace cofferdam::monitor

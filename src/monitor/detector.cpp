#include "monitor/detector.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/text.h"
#include "base/time.h"

namespace cofferdam::monitor {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxKey = 64;
constexpr int kMaxAncestors = 64;
constexpr std::uint32_t kInit = 1;
constexpr std::uint32_t kKernelThreads = 2;

std::string percent(double value) { return cat(static_cast<std::int64_t>(std::lround(value)), " %"); }
std::string time_text(milliseconds time) { return cat(duration_cast<seconds>(time).count(), " s"); }
std::string per_second(std::uint64_t bytes, milliseconds passed) {
  return cat(format_size(bytes * 1000 / static_cast<std::uint64_t>(std::max<std::int64_t>(passed.count(), 1))), "/s");
}

// The guest's own texts become keys and evidence: short, and of printable ASCII.
std::string tame(std::string_view text, std::size_t most) {
  std::string tamed(text.substr(0, most));
  std::replace_if(tamed.begin(), tamed.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return tamed;
}

std::string place_of(const net::Flow& flow) {
  return tame(cat(flow.name.empty() ? flow.address : flow.name, ":", flow.port), 256);
}

bool is_kernels(const vm::GuestProcessInfo& info) {
  return info.pid <= kKernelThreads || info.parent_pid == kKernelThreads;
}

// By pid, whether a command that was started is among its ancestors, or it is one itself.
class Family {
 public:
  explicit Family(const std::vector<SeenProcess>& processes) {
    for (const auto& process : processes) {
      parents_[process.info.pid] = process.info.parent_pid;
      if (process.info.is_command) commands_.insert(process.info.pid);
    }
  }
  [[nodiscard]] bool has_command(std::uint32_t pid) const {
    for (int i = 0; i < kMaxAncestors && pid > kInit; ++i) {
      if (commands_.contains(pid)) return true;
      const auto parent = parents_.find(pid);
      if (parent == parents_.end()) return false;
      pid = parent->second;
    }
    return false;
  }

 private:
  std::map<std::uint32_t, std::uint32_t> parents_;
  std::set<std::uint32_t> commands_;
};

Evidence about(const SeenProcess& process) {
  Evidence evidence{{"command", tame(process.info.command, 256)},
                    {"pid", cat(process.info.pid)},
                    {"parent", cat(process.info.parent_pid)},
                    {"uid", cat(process.info.uid)},
                    {"cpu", time_text(milliseconds(process.info.cpu_ms))}};
  if (!process.executable.empty()) evidence.emplace_back("executable", tame(process.executable, 256));
  if (process.written_at) evidence.emplace_back("written_at", format_rfc3339(*process.written_at));
  return evidence;
}

}  // namespace

void Window::add(Steady at, std::uint64_t amount, milliseconds length) {
  if (amount > 0) {
    if (parts_.empty() || at - parts_.back().first >= length / kParts) parts_.emplace_back(at, 0);
    parts_.back().second += amount;
    sum_ += amount;
  }
  while (!parts_.empty() && at - parts_.front().first > length) {
    sum_ -= parts_.front().second;
    parts_.pop_front();
  }
}

void Window::clear() {
  parts_.clear();
  sum_ = 0;
}

void Detector::rests() {
  busy_ = flat_ = {};
  sizes_.clear();
  strays_.clear();
  written_.clear();
}

void Detector::began_with(Steady at, std::uint64_t disk_allocated_bytes) {
  sizes_.assign(1, {at, disk_allocated_bytes});
}

Findings Detector::sampled(const Sample& sample) {
  Findings findings;
  check_cpu(sample, findings);
  check_miner(sample, findings);
  check_bytes_out(sample, findings);
  check_growth(sample, findings);
  return findings;
}

void Detector::check_cpu(const Sample& sample, Findings& findings) {
  const Rule* wanted = rule(RuleKind::cpu);
  if (wanted == nullptr || sample.cpu_percent <= static_cast<double>(wanted->over)) {
    busy_ = {};
    return;
  }
  // The whole of the time since the look before was busy.
  if (!busy_.since) busy_ = {sample.at - sample.passed, sample.cpu_percent, sample.cpu_percent};
  busy_.least = std::min(busy_.least, sample.cpu_percent);
  const auto held = duration_cast<milliseconds>(sample.at - *busy_.since);
  if (held < wanted->hold) return;
  findings.push_back({wanted,
                      "",
                      cat("its CPU has been above ", wanted->over, " % of what it was promised for ", time_text(held)),
                      {{"now", percent(sample.cpu_percent)},
                       {"least", percent(busy_.least)},
                       {"for", time_text(held)},
                       {"disk", per_second(sample.disk_read_bytes + sample.disk_written_bytes, sample.passed)},
                       {"network", per_second(sample.net_out_bytes + sample.net_in_bytes, sample.passed)}}});
}

void Detector::check_miner(const Sample& sample, Findings& findings) {
  const Rule* wanted = rule(RuleKind::miner);
  const auto bytes = sample.disk_read_bytes + sample.disk_written_bytes + sample.net_out_bytes + sample.net_in_bytes;
  if (wanted == nullptr || sample.cpu_percent <= static_cast<double>(wanted->over) ||
      bytes * 1000 > wanted->io * static_cast<std::uint64_t>(std::max<std::int64_t>(sample.passed.count(), 1000))) {
    flat_ = {};
    return;
  }
  const Run anew{sample.at - sample.passed, sample.cpu_percent, sample.cpu_percent};
  if (!flat_.since) flat_ = anew;
  flat_.least = std::min(flat_.least, sample.cpu_percent);
  flat_.most = std::max(flat_.most, sample.cpu_percent);
  if (flat_.most - flat_.least > kFlatPoints) flat_ = anew;
  const auto held = duration_cast<milliseconds>(sample.at - *flat_.since);
  if (held < wanted->hold) return;
  findings.push_back(
      {wanted,
       "",
       cat("it computes on all its CPUs, evenly and with next to no I/O, for ", time_text(held), ": so do miners"),
       {{"least", percent(flat_.least)},
        {"most", percent(flat_.most)},
        {"for", time_text(held)},
        {"io", per_second(bytes, sample.passed)}}});
}

void Detector::check_bytes_out(const Sample& sample, Findings& findings) {
  const Rule* wanted = rule(RuleKind::bytes_out);
  if (wanted == nullptr) return out_.clear();
  out_.add(sample.at, sample.net_out_bytes, wanted->within);
  if (out_.sum() <= wanted->over) return;
  findings.push_back({wanted,
                      "",
                      cat(format_size(out_.sum()), " have left it within ", time_text(wanted->within),
                          "; its budget is ", format_size(wanted->over)),
                      {{"bytes", cat(out_.sum())},
                       {"now", per_second(sample.net_out_bytes, sample.passed)},
                       {"open_connections", cat(sample.open_now)}}});
}

void Detector::check_growth(const Sample& sample, Findings& findings) {
  const Rule* wanted = rule(RuleKind::disk_growth);
  if (wanted == nullptr) return sizes_.clear();
  constexpr int kSteps = 60;
  if (sizes_.empty() || sample.at - sizes_.back().at >= wanted->within / kSteps) {
    sizes_.push_back({sample.at, sample.disk_allocated_bytes});
  }
  while (sample.at - sizes_.front().at > wanted->within) sizes_.pop_front();
  if (sizes_.empty()) return;
  const auto least =
      std::min_element(sizes_.begin(), sizes_.end(), [](const Size& a, const Size& b) { return a.bytes < b.bytes; });
  const auto grown = sample.disk_allocated_bytes - std::min(sample.disk_allocated_bytes, least->bytes);
  if (grown <= wanted->over) return;
  findings.push_back({wanted,
                      "",
                      cat("its disk has grown by ", format_size(grown), " within ",
                          time_text(duration_cast<milliseconds>(sample.at - least->at))),
                      {{"grown", cat(grown)},
                       {"allocated", cat(sample.disk_allocated_bytes)},
                       {"written", per_second(sample.disk_written_bytes, sample.passed)}}});
}

Findings Detector::refused(const net::Flow& flow, Steady at) {
  const Rule* wanted = rule(RuleKind::denied);
  if (wanted == nullptr) return {};
  denied_.add(at, std::max<std::uint64_t>(flow.omitted, 1), wanted->within);
  if (denied_.sum() <= wanted->over) return {};
  return {{wanted,
           "",
           cat(denied_.sum(), " of its connections were refused within ", time_text(wanted->within)),
           {{"refused", cat(denied_.sum())}, {"last", place_of(flow)}, {"reason", flow.reason}}}};
}

Findings Detector::reached_anew(const std::string& destination, const net::Flow& flow, milliseconds age) const {
  const Rule* wanted = rule(RuleKind::new_destination);
  if (wanted == nullptr || age < wanted->after) return {};
  return {{wanted,
           destination,
           cat("it has connected to ", destination, ", where it never was"),
           {{"destination", destination}, {"address", flow.address}, {"kind", flow.kind}, {"shown", flow.peer}}}};
}

bool Detector::holds(Suspects& suspects, const SeenProcess& process, Steady at, const Rule& rule) {
  auto& [command, since] = suspects.try_emplace(process.info.pid, process.info.command, at).first->second;
  if (command != process.info.command) {  // another one under the same number
    command = process.info.command;
    since = at;
  }
  return at - since >= rule.hold;
}

Findings Detector::drilled(const Watched& workspace, Time now) const {
  const Rule* rule = this->rule(RuleKind::drill);
  if (rule == nullptr || !workspace.undrilled_since) return {};
  const auto days = std::chrono::duration_cast<std::chrono::hours>(now - *workspace.undrilled_since).count() / 24;
  const Evidence evidence{{"since", format_rfc3339(*workspace.undrilled_since)}};
  if (!workspace.drill_error.empty()) {
    return {{rule, "failed", cat("its last drill failed: ", workspace.drill_error), evidence}};
  }
  if (now - *workspace.undrilled_since <= rule->after) return {};
  return {{rule, "due", cat("none of its snapshots was brought back for ", days, " days"), evidence}};
}

Findings Detector::looked(const std::vector<SeenProcess>& processes, Time booted_at, Steady at) {
  Findings findings;
  const Rule* stray = rule(RuleKind::stray_process);
  const Rule* written = rule(RuleKind::new_executable);
  const Family family(processes);
  Suspects strays;
  Suspects late;
  for (const auto& process : processes) {
    if (is_kernels(process.info) || process.info.state == 'Z') continue;
    const std::string key = tame(process.info.command, kMaxKey);
    if (stray != nullptr && !family.has_command(process.info.pid)) {
      const bool held = holds(strays_, process, at, *stray);
      strays.insert(*strays_.find(process.info.pid));
      if (held && findings.size() < kMaxFindings) {
        findings.push_back({stray, key, cat("'", key, "' runs in it, and no command that was started is its ancestor"),
                            about(process)});
      }
    }
    if (written != nullptr && process.written_at && *process.written_at > booted_at) {
      const bool held = holds(written_, process, at, *written);
      late.insert(*written_.find(process.info.pid));
      if (held && findings.size() < kMaxFindings) {
        findings.push_back(
            {written, key, cat("'", key, "' runs in it, and its program was written after the boot"), about(process)});
      }
    }
  }
  strays_ = std::move(strays);
  written_ = std::move(late);
  return findings;
}

}  // namespace cofferdam::monitor

#include "monitor/watch.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

constexpr auto kLookLimit = 10s;
constexpr std::chrono::seconds kJustBegun{60};
constexpr auto kAskLimit = 10s;
constexpr int kRestsFor = 20;  // times as long as it took to answer
constexpr auto kLongestRest = 120s;
constexpr auto kCrowdRest = 30s;
constexpr std::uint32_t kCrowd = 512;  // with more processes and threads, its kernel's among them, none is looked at
constexpr auto kCountLimit = 5s;
constexpr std::uint64_t kDrillRounds = 3;     // drills are looked at in each of so many
constexpr std::size_t kMaxExecutables = 512;  // that are known of one guest
constexpr int kMaxNewExecutables = 16;        // asked for in one round

// What hides among so many is a stray until the opposite is known.
Findings findings_of_a_crowd(const Rules::InForce& rules, std::uint32_t processes) {
  const Rule* stray = rules.at(static_cast<std::size_t>(RuleKind::stray_process));
  if (stray == nullptr) return {};
  return {{stray,
           "a crowd",
           cat("it has ", processes, " processes and threads, too many for each to be looked at"),
           {{"processes", cat(processes)}}}};
}

// A counter that has gone back belongs to something else: all of it is new.
std::uint64_t more(std::uint64_t now, std::uint64_t before) { return now >= before ? now - before : now; }

}  // namespace

Watch::Watch(const loop::asio::any_io_executor& executor, store::Database& database, WatchOptions options)
    : options_(std::move(options)), history_(database, options_.clock), tasks_(executor) {}

Result<std::unique_ptr<Watch>> Watch::open(const loop::asio::any_io_executor& executor, store::Database& database,
                                           Webhooks& webhooks, WatchOptions options) {
  if (const Rule* rule = options.rules.containing(); rule != nullptr && !options.alerts.contain) {
    return fail(Code::InvalidArgument,
                cat("the rule '", rule->text(), "' asks for containment, which this daemon has not"),
                "leave action=contain away");
  }
  options.alerts.clock = options.clock;
  std::unique_ptr<Watch> watch(new Watch(executor, database, std::move(options)));
  auto& own = watch->options_;
  TRY_ASSIGN(watch->destinations_, Destinations::open(database, own.clock));
  TRY_ASSIGN(watch->logins_, Logins::open(database, own.rules, own.clock));
  TRY_ASSIGN(watch->alerts_, Alerts::open(executor, database, webhooks, own.alerts));
  return watch;
}

void Watch::start() {
  alerts_->start();
  tasks_.spawn("watch", keep_looking());
  tasks_.spawn("questions to guests", keep_asking());
  tasks_.spawn("figures of workspaces", keep_writing());
  if (options_.count) tasks_.spawn("counters of the gate", keep_counting());
  if (options_.follow) tasks_.spawn("connections of workspaces", keep_hearing(options_.follow()));
}

Task<void> Watch::close() {
  tasks_.cancel();
  CO_TRY(co_await tasks_.join());
  CO_TRY(co_await flush());
  co_return co_await alerts_->close();
}

// -- rounds ----------------------------------------------------------------------------------------------------------

void Watch::update_entries() {
  std::map<std::string, EntryPtr> present;
  for (auto& workspace : options_.list()) {
    auto& entry = present[workspace.id];
    if (const auto known = entries_.find(workspace.id); known != entries_.end()) entry = known->second;
    const bool is_new = !entry;
    if (is_new) entry = std::make_shared<Entry>();
    if (const auto slug = slugs_.find(workspace.namespace_id); slug != slugs_.end()) {
      workspace.namespace_slug = slug->second;
    }
    const bool renamed = is_new || entry->workspace.name != workspace.name ||
                         entry->workspace.namespace_slug != workspace.namespace_slug;
    entry->workspace = std::move(workspace);
    const auto& now = entry->workspace;
    if (renamed) entry->detector.use(rules_for(now));
    if (is_new && now.namespace_slug.empty() && options_.namespace_slug) {
      tasks_.spawn("a namespace's slug", learn_slug(entry));
    }
  }
  for (const auto& [id, entry] : entries_) {
    if (!present.contains(id)) history_.forget_seconds(id);
  }
  entries_ = std::move(present);
}

// The next round knows it.
Task<void> Watch::learn_slug(EntryPtr entry) {
  constexpr std::size_t kMaxSlugs = 10'000;
  const std::string id = entry->workspace.namespace_id;
  if (id.empty() || slugs_.contains(id) || slugs_.size() >= kMaxSlugs) co_return Status{};
  if (auto slug = co_await options_.namespace_slug(id)) slugs_[id] = std::move(*slug);
  co_return Status{};
}

Rules::InForce Watch::rules_for(const Watched& workspace) const {
  if (workspace.isolated) return {};
  return options_.rules.for_workspace(workspace.id, workspace.name, workspace.namespace_id, workspace.namespace_slug);
}

Task<void> Watch::keep_looking() {
  auto next = std::chrono::steady_clock::now();
  for (;;) {
    // A host that is late skips rounds.
    next = std::max(next + options_.every, std::chrono::steady_clock::now());
    CO_TRY(co_await loop::sleep_for(duration_cast<milliseconds>(next - std::chrono::steady_clock::now()) +
                                    milliseconds(1)));
    ++rounds_;
    update_entries();
    for (const auto& [id, entry] : entries_) {
      if (rounds_ % kDrillRounds == 0) raise(*entry, entry->detector.drilled(entry->workspace, options_.clock.now()));
      if (!entry->looking && !look_at_hand(*entry)) tasks_.spawn("a look at a workspace", look_closer(entry));
    }
  }
}

Task<void> Watch::look_at_all() {
  update_entries();
  for (const auto& [id, entry] : std::map(entries_)) {
    if (!look_at_hand(*entry)) CO_TRY(co_await look_closer(entry));
  }
  co_return Status{};
}

Task<void> Watch::keep_asking() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(options_.ask_every));
    for (const auto& [id, entry] : entries_) {
      if (!entry->asking && entry->workspace.machine) tasks_.spawn("a question to a guest", ask(entry));
    }
  }
}

Task<void> Watch::ask_all() {
  for (const auto& [id, entry] : std::map(entries_)) CO_TRY(co_await ask(entry));
  co_return Status{};
}

Task<void> Watch::keep_writing() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(options_.write_every));
    if (auto written = co_await flush(); !written) {
      if (written.error().code == Code::Cancelled) co_return written;
      log_warn("figures of workspaces were not written", {{"error", written.error().message}});
    }
  }
}

Task<void> Watch::flush() {
  CO_TRY(co_await history_.flush());
  CO_TRY(co_await destinations_->flush());
  co_return co_await logins_->flush();
}

// -- from outside ----------------------------------------------------------------------------------------------------

// As far as nobody has to be asked, which is nearly all there is to a workspace that rests: neither a task nor a timer,
// of which there would be hundreds a second. False: look closer.
bool Watch::look_at_hand(Entry& entry) {
  const auto& machine = entry.workspace.machine;
  if (!machine) {
    entry.looked_at.reset();
    entry.latest.reset();
    entry.detector.rests();
    return true;
  }
  const auto figures = machine->figures_at_hand();
  if (figures) see(entry, *machine, *figures);
  return figures.has_value();
}

Task<void> Watch::look_closer(EntryPtr entry) {
  const auto machine = entry->workspace.machine;
  entry->looking = true;
  auto figures = co_await loop::with_deadline(machine->figures(), kLookLimit, "figures of a machine");
  entry->looking = false;
  if (!figures) co_return figures.error().code == Code::Cancelled ? Status(fail(figures.error())) : Status{};
  see(*entry, *machine, *figures);
  co_return Status{};
}

void Watch::see(Entry& entry, const vm::Machine& machine, const vm::Figures& figures) {
  if (entry.machine_id != machine.id()) {
    entry.machine_id = machine.id();
    entry.looked_at.reset();
    entry.executables.clear();
    entry.detector.rests();
  }
  Sample sample;
  sample.at = options_.clock.steady();
  sample.time = options_.clock.now();
  const auto before = std::exchange(entry.looked_at, sample.at);
  const auto last = std::exchange(entry.figures, figures);
  sample.memory_bytes = figures.memory_bytes;
  sample.disk_allocated_bytes = figures.disk_allocated_bytes;
  count_network(entry, sample);
  if (!before) {
    // Nothing to compare with, but what its machine has written, if that has just begun.
    const auto age = sample.time - entry.workspace.started_at;
    if (age >= 0s && age < kJustBegun) {
      const auto written = std::min(figures.disk_written_bytes, figures.disk_allocated_bytes);
      entry.detector.began_with(sample.at, figures.disk_allocated_bytes - written);
    }
    return;
  }
  sample.passed = std::max(duration_cast<milliseconds>(sample.at - *before), milliseconds(1));
  sample.cpu_ms = more(figures.cpu_ms, last.cpu_ms);
  const auto promised = static_cast<double>(sample.passed.count()) * entry.workspace.cpu_millis / 1000.0;
  sample.cpu_percent = promised > 0 ? 100.0 * static_cast<double>(sample.cpu_ms) / promised : 0;
  sample.disk_read_bytes = more(figures.disk_read_bytes, last.disk_read_bytes);
  sample.disk_written_bytes = more(figures.disk_written_bytes, last.disk_written_bytes);
  entry.latest = sample;
  history_.add(entry.workspace.id, sample);
  raise(entry, entry.detector.sampled(sample));
}

void Watch::count_network(Entry& entry, Sample& sample) {
  const auto found = counters_.find(entry.workspace.id);
  if (found == counters_.end()) return;
  const auto now = found->second;
  const auto last = std::exchange(entry.counted, now);
  sample.net_out_bytes = more(now.bytes_out, last.bytes_out);
  sample.net_in_bytes = more(now.bytes_in, last.bytes_in);
  sample.opened = more(now.opened, last.opened);
  sample.refused = more(now.refused, last.refused) + more(now.dns_refused, last.dns_refused);
  sample.open_now = now.open_now;
  entry.network.bytes_out += sample.net_out_bytes;
  entry.network.bytes_in += sample.net_in_bytes;
  entry.network.opened += sample.opened;
  entry.network.refused += sample.refused;
  entry.network.open_now = now.open_now;
  entry.untaken.out += sample.net_out_bytes;
  entry.untaken.in += sample.net_in_bytes;
}

Task<void> Watch::keep_counting() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(options_.every));
    if (auto counted = co_await count(); !counted && counted.error().code == Code::Cancelled) co_return counted;
  }
}

Task<void> Watch::count() {
  CO_TRY_ASSIGN(auto counters, co_await loop::with_deadline(options_.count(), kCountLimit, "counters of the gate"));
  counters_.clear();
  for (auto& of_one : counters) {
    std::string id = of_one.workspace;
    counters_[std::move(id)] = std::move(of_one);
  }
  co_return Status{};
}

// -- connections -----------------------------------------------------------------------------------------------------

Task<void> Watch::keep_hearing(std::shared_ptr<loop::Feed<net::Flow>> feed) {
  std::uint64_t missed = 0;
  for (;;) {
    CO_TRY_ASSIGN(const auto flow, co_await feed->next());
    if (!flow) co_return Status{};
    if (feed->missed() > missed) {
      log_warn("records of connections came too fast to be watched", {{"missed", cat(feed->missed() - missed)}});
      missed = feed->missed();
    }
    hear(*flow);
  }
}

void Watch::hear(const net::Flow& flow) {
  const auto found = entries_.find(flow.workspace);
  if (found == entries_.end()) return;
  auto& entry = *found->second;
  if (flow.event == "refused" || flow.omitted > 0) {
    return raise(entry, entry.detector.refused(flow, options_.clock.steady()));
  }
  // What comes from outside goes to the workspace's own ports.
  if (flow.kind == "ingress" || flow.kind == "dns") return;
  const auto seen = destinations_->note(flow.workspace, flow);
  if (flow.event != "opened" || seen == Destinations::Seen::before) return;
  const auto age = duration_cast<milliseconds>(options_.clock.now() - entry.workspace.created_at);
  raise(entry, entry.detector.reached_anew(Destinations::name_of(flow), flow, age));
}

// -- the guest's own word --------------------------------------------------------------------------------------------

Task<void> Watch::ask(EntryPtr entry) {
  auto machine = entry->workspace.machine;
  if (!machine) co_return Status{};
  entry->asking = true;
  const auto began = std::chrono::steady_clock::now();
  auto guest = co_await loop::with_deadline(machine->guest_metrics(), kAskLimit, "figures of a guest");
  if (guest && guest->processes > kCrowd) {
    // To look at each would make the end of them last.
    raise(*entry, findings_of_a_crowd(rules_for(entry->workspace), guest->processes));
    machine.reset();  // it may end meanwhile
    (void)co_await loop::sleep_for(kCrowdRest);
    entry->asking = false;
    co_return Status{};
  }
  auto processes =
      co_await loop::with_deadline(processes_of(entry, std::move(machine)), kAskLimit, "processes of a guest");
  const auto took = duration_cast<milliseconds>(std::chrono::steady_clock::now() - began);
  // One that does not answer has nothing to say for itself; what is seen from outside goes on.
  if (processes)
    raise(*entry, entry->detector.looked(*processes, entry->workspace.started_at, options_.clock.steady()));
  // One that is slow to answer is asked the less.
  if (took * kRestsFor > options_.ask_every) {
    (void)co_await loop::sleep_for(std::min<milliseconds>(took * kRestsFor, kLongestRest));
  }
  entry->asking = false;
  if (!processes && processes.error().code == Code::Cancelled) co_return fail(std::move(processes.error()));
  co_return Status{};
}

Task<std::vector<SeenProcess>> Watch::processes_of(EntryPtr entry, std::shared_ptr<vm::Machine> machine) {
  CO_TRY_ASSIGN(auto listed, co_await machine->processes());
  std::vector<SeenProcess> processes;
  std::map<std::uint32_t, Executable> known;
  int asked = 0;
  for (auto& info : listed) {
    SeenProcess process;
    process.info = std::move(info);
    auto before = entry->executables.find(process.info.pid);
    // A process becomes another by exec, which its command tells.
    const bool is_known = before != entry->executables.end() && before->second.command == process.info.command;
    Executable executable;
    if (is_known) {
      executable = before->second;
    } else if (known.size() < kMaxExecutables && asked < kMaxNewExecutables && process.info.rss_kib > 0) {
      ++asked;
      executable.command = process.info.command;
      const auto link = cat("/proc/", process.info.pid, "/exe");
      if (auto named = co_await machine->files().lstat(link)) executable.path = std::move(named->symlink_target);
      if (auto file = co_await machine->files().stat(link)) {
        executable.written_at =
            Time(milliseconds(std::clamp<std::int64_t>(file->modified_ms, 0, INT64_MAX / 2'000'000)));
      }
    }
    process.executable = executable.path;
    process.written_at = executable.written_at;
    if (!executable.command.empty() && known.size() < kMaxExecutables) {
      known[process.info.pid] = std::move(executable);
    }
    processes.push_back(std::move(process));
  }
  entry->executables = std::move(known);
  co_return processes;
}

// -- credentials -----------------------------------------------------------------------------------------------------

void Watch::credentials_refused(const std::string& address, const std::string& reason) {
  for (const auto& finding : logins_->failed(address, reason, options_.clock.steady())) alerts_->raise_of_host(finding);
}

void Watch::credentials_used(const std::string& credential, const std::string& address) {
  for (const auto& finding : logins_->used(credential, address)) alerts_->raise_of_host(finding);
}

// -- what is asked of it ---------------------------------------------------------------------------------------------

void Watch::raise(const Entry& entry, const Findings& findings) {
  for (const auto& finding : findings) alerts_->raise(entry.workspace, finding);
}

std::vector<Sight> Watch::sights() const {
  std::vector<Sight> all;
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) all.push_back(*sight(id));
  return all;
}

std::optional<Sight> Watch::sight(const std::string& workspace) const {
  const auto found = entries_.find(workspace);
  if (found == entries_.end()) return std::nullopt;
  const auto& entry = *found->second;
  Sight sight{entry.workspace, entry.latest, entry.figures, entry.network, 0};
  // Against the oldest of the last minute.
  const auto& seconds = history_.seconds(workspace);
  if (entry.latest && !seconds.empty()) {
    const auto from = std::find_if(seconds.begin(), seconds.end(),
                                   [&](const Sample& old) { return entry.latest->at - old.at <= 60s; });
    const auto passed = duration_cast<milliseconds>(entry.latest->at - from->at).count();
    const auto grown = static_cast<std::int64_t>(entry.latest->disk_allocated_bytes) -
                       static_cast<std::int64_t>(from->disk_allocated_bytes);
    if (passed > 0) sight.disk_growth_bytes_per_minute = grown * 60'000 / passed;
  }
  return sight;
}

Watch::Bytes Watch::take_network_bytes(const std::string& workspace) {
  const auto found = entries_.find(workspace);
  return found == entries_.end() ? Bytes{} : std::exchange(found->second->untaken, Bytes{});
}

void Watch::forget(const std::string& workspace) {
  entries_.erase(workspace);  // the last records of its connections are still on their way
  history_.forget_seconds(workspace);
  tasks_.spawn("what is known of a removed workspace", forget_durably(workspace));
}

Task<void> Watch::forget_durably(std::string workspace) {
  CO_TRY(co_await history_.forget(workspace));
  co_return co_await destinations_->forget(std::move(workspace));
}

}  // namespace cofferdam::monitor

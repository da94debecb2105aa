#include "workspace/supervisor.h"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <deque>
#include <set>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "workspace/log_line.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::size_t kMaxOfAWorkspace = 64;
constexpr std::size_t kMaxFigureFeeds = 256;
constexpr std::size_t kMaxId = 64;
constexpr std::string_view kTag = "workload ";
constexpr std::size_t kLineCost = 64;  // what a line takes beside its text
constexpr auto kLongestDelay = std::chrono::hours(1);
constexpr auto kKillLimit = 10s;
constexpr auto kTurn = 60s;
constexpr std::size_t kMostChanges = 1024;  // that wait their turn

bool is_good_id(const std::string& id) {
  return !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

template <class T>
void set_if(T& field, std::optional<T> value) {
  if (value) field = std::move(*value);
}

}  // namespace

struct Supervisor::Item {
  explicit Item(const loop::asio::any_io_executor& executor)
      : gone(executor, loop::asio::steady_timer::time_point::max()) {}
  Workload info;
  std::uint64_t round = 0;              // counts starts and stops: an older run sees that it is over
  vm::GuestProcess* process = nullptr;  // of the run of this round
  loop::asio::steady_timer gone;        // never expires; cancelled when a process has gone
  std::shared_ptr<loop::Event> pause;   // wakes a run that waits for its next start
  bool removed = false;
  bool taken_up = false;  // its run is older than this start of its workspace
  std::deque<WorkloadLine> lines;
  std::size_t bytes = 0;
  loop::Feeds<WorkloadLine> followers;
  std::optional<std::pair<steady_clock::time_point, std::uint64_t>> last_cpu;
};

// A process is the item's only as long as it is there, however its run ends.
class Supervisor::Present {
 public:
  Present(Item& item, vm::GuestProcess& process) : item_(item), process_(process) { item_.process = &process; }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;
  ~Present() {
    if (item_.process == &process_) item_.process = nullptr;
    item_.gone.cancel();
  }

 private:
  Item& item_;
  vm::GuestProcess& process_;
};

std::string workload_tag(const std::string& id) { return cat(kTag, id); }

std::optional<std::string> workload_of_tag(std::string_view tag) {
  if (!tag.starts_with(kTag) || tag.size() > kTag.size() + kMaxId) return std::nullopt;
  return std::string(tag.substr(kTag.size()));
}

TreeUsage tree_usage(const std::vector<vm::GuestProcessInfo>& processes, std::uint32_t root) {
  TreeUsage usage;
  std::set<std::uint32_t> family;
  const auto add = [&](const vm::GuestProcessInfo& process) {
    if (!family.insert(process.pid).second) return false;
    usage.cpu_ms += process.cpu_ms;
    usage.rss_kib += process.rss_kib;
    return true;
  };
  for (const auto& process : processes) {
    if (process.pid == root) add(process);
  }
  for (bool grown = !family.empty(); grown;) {
    grown = false;
    for (const auto& process : processes) {
      if (family.contains(process.parent_pid) && !family.contains(process.pid)) grown = add(process) || grown;
    }
  }
  return usage;
}

Supervisor::Supervisor(const loop::asio::any_io_executor& executor, WorkloadTable table, WorkloadHost host,
                       SupervisorOptions options)
    : executor_(executor),
      changes_(executor, "the changes of workloads", 1, kMostChanges),
      table_(table),
      host_(std::move(host)),
      options_(options),
      tasks_(executor) {}
Supervisor::~Supervisor() = default;

Task<void> Supervisor::load() {
  CO_TRY_ASSIGN(auto all, co_await table_.load());
  for (auto& workload : all) {
    auto item = std::make_shared<Item>(executor_);
    item->info = std::move(workload);
    item->info.detail = "its workspace does not run";
    items_[item->info.workspace_id][item->info.id] = std::move(item);
  }
  co_return Status{};
}

Task<void> Supervisor::shut_down() {
  closing_ = true;
  for (auto& [workspace, items] : items_) {
    for (auto& [id, item] : items) item->followers.close();
  }
  tasks_.cancel();
  co_return co_await tasks_.join();
}

Result<Supervisor::ItemPtr> Supervisor::find(const std::string& workspace, const std::string& id) const {
  TRY_ASSIGN(const std::string workspace_id, host_.find(workspace));
  if (const auto of = items_.find(workspace_id); of != items_.end()) {
    if (const auto by_id = of->second.find(id); by_id != of->second.end()) return by_id->second;
    for (const auto& [key, item] : of->second) {
      if (!id.empty() && item->info.spec.name == id) return item;
    }
  }
  return fail(Code::NotFound, cat("the workspace '", workspace, "' has no workload '", id, "'"));
}

Status Supervisor::check_name(const std::string& workspace_id, const std::string& name, const Item* self) const {
  const auto of = items_.find(workspace_id);
  if (name.empty() || of == items_.end()) return {};
  for (const auto& [id, item] : of->second) {
    if (item.get() != self && (item->info.spec.name == name || id == name)) {
      return fail(Code::AlreadyExists, cat("there is a workload '", name, "' already"), "choose another name");
    }
  }
  return {};
}

Task<Workload> Supervisor::create(std::string workspace, WorkloadSpec spec, std::string id) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  CO_TRY_ASSIGN(const std::string workspace_id, host_.find(workspace));
  CO_TRY(validate(spec));
  CO_TRY_ASSIGN(const auto place, co_await changes_.enter(kTurn));
  if (!id.empty() && !is_good_id(id)) {
    co_return fail(Code::InvalidArgument, "/id: must be 1 to 64 of letters, digits, '-', '_' and '.'");
  }
  CO_TRY(check_name(workspace_id, spec.name, nullptr));
  CO_TRY(check_name(workspace_id, id, nullptr));
  auto& items = items_[workspace_id];
  if (items.size() >= kMaxOfAWorkspace) {
    co_return fail(Code::ResourceExhausted,
                   cat("the workspace '", workspace, "' has ", items.size(), " workloads already"), "remove some");
  }
  auto item = std::make_shared<Item>(executor_);
  item->info.id = id.empty() ? new_id("wl") : std::move(id);
  item->info.workspace_id = workspace_id;
  item->info.spec = std::move(spec);
  item->info.created_at = item->info.updated_at = system_clock::now();
  items[item->info.id] = item;
  auto written = co_await table_.write(item->info);
  if (!written) {
    forget(item);
    co_return fail(std::move(written.error()));
  }
  if (item->removed) co_return fail(Code::Aborted, "the workload was removed while it was made");
  if (!item->info.spec.enabled) {
    settle(*item, WorkloadState::stopped, "it is not enabled");
  } else if (host_.machine(workspace_id)) {
    begin(item);
  } else {
    settle(*item, WorkloadState::pending, "its workspace does not run");
  }
  co_return item->info;
}

Result<std::vector<Workload>> Supervisor::list(const std::string& workspace) const {
  TRY_ASSIGN(const std::string workspace_id, host_.find(workspace));
  std::vector<Workload> all;
  const auto of = items_.find(workspace_id);
  if (of == items_.end()) return all;
  for (const auto& [id, item] : of->second) all.push_back(item->info);
  std::sort(all.begin(), all.end(), [](const Workload& a, const Workload& b) { return a.created_at < b.created_at; });
  return all;
}

Result<Workload> Supervisor::get(const std::string& workspace, const std::string& id) const {
  TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  return item->info;
}

Task<Workload> Supervisor::update(std::string workspace, std::string id, WorkloadChange change) {
  CO_TRY_ASSIGN(const auto place, co_await changes_.enter(kTurn));
  CO_TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  WorkloadSpec spec = item->info.spec;
  set_if(spec.name, std::move(change.name));
  set_if(spec.argv, std::move(change.argv));
  set_if(spec.env, std::move(change.env));
  set_if(spec.working_dir, std::move(change.working_dir));
  set_if(spec.user, std::move(change.user));
  set_if(spec.restart_policy, change.restart_policy);
  set_if(spec.max_restarts, change.max_restarts);
  set_if(spec.restart_delay, change.restart_delay);
  set_if(spec.restart_backoff, change.restart_backoff);
  set_if(spec.enabled, change.enabled);
  set_if(spec.vm_on_exit, change.vm_on_exit);
  set_if(spec.labels, std::move(change.labels));
  set_if(spec.annotations, std::move(change.annotations));
  set_if(spec.max_log_size_mb, change.max_log_size_mb);
  CO_TRY(validate(spec));
  CO_TRY(check_name(item->info.workspace_id, spec.name, item.get()));
  Workload changed = item->info;
  changed.spec = spec;
  changed.updated_at = system_clock::now();
  CO_TRY(co_await table_.write(changed));
  if (item->removed) {  // with its workspace
    (void)co_await table_.remove(changed.workspace_id, changed.id);
    co_return fail(Code::NotFound, cat("the workload '", changed.id, "' was removed meanwhile"));
  }
  item->info.spec = std::move(spec);
  item->info.updated_at = changed.updated_at;
  co_return item->info;
}

void Supervisor::forget(const ItemPtr& item) {
  item->removed = true;
  ++item->round;
  if (item->pause) item->pause->notify();
  if (item->process != nullptr) (void)item->process->signal(SIGKILL);
  item->followers.close();
  if (const auto of = items_.find(item->info.workspace_id); of != items_.end()) {
    of->second.erase(item->info.id);
    if (of->second.empty()) items_.erase(of);
  }
}

Task<void> Supervisor::remove(std::string workspace, std::string id) {
  CO_TRY_ASSIGN(const auto place, co_await changes_.enter(kTurn));
  CO_TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  CO_TRY(co_await table_.remove(item->info.workspace_id, item->info.id));
  if (!item->removed) forget(item);
  co_return Status{};
}

Task<void> Supervisor::remove_all(std::string workspace) {
  CO_TRY_ASSIGN(const auto all, list(workspace));
  for (const auto& workload : all) {
    auto removed = co_await remove(workload.workspace_id, workload.id);
    if (!removed && removed.error().code != Code::NotFound) co_return removed;
  }
  co_return Status{};
}

void Supervisor::workspace_is_up(const std::string& id) {
  const auto of = items_.find(id);
  if (of == items_.end()) return;
  for (const auto& [key, item] : of->second) {
    if (!std::exchange(item->taken_up, false) && item->info.spec.enabled) begin(item);
  }
}

void Supervisor::workspace_goes_on(const std::string& id) {
  const auto of = items_.find(id);
  if (of == items_.end()) return;
  for (const auto& [key, item] : of->second) {
    if (std::exchange(item->taken_up, false)) continue;
    if (item->info.spec.enabled && item->info.state == WorkloadState::pending) begin(item);
  }
}

// What is no workload's any more goes with its object.
void Supervisor::take_up(const std::string& workspace_id, const std::string& id,
                         std::unique_ptr<vm::GuestProcess> process) {
  const auto of = items_.find(workspace_id);
  if (closing_ || of == items_.end()) return;
  const auto found = of->second.find(id);
  if (found == of->second.end() || found->second->taken_up) return;
  const auto item = found->second;
  if (item->info.state != WorkloadState::pending && item->info.state != WorkloadState::running) return;
  const auto restarts = item->info.restart_count;
  begin(item, std::move(process));
  item->info.restart_count = restarts;
  item->taken_up = true;
}

void Supervisor::workspace_is_gone(const std::string& id) {
  const auto of = items_.find(id);
  if (of == items_.end()) return;
  const auto items = of->second;
  for (const auto& [key, item] : items) forget(item);
}

void Supervisor::begin(const ItemPtr& item, std::unique_ptr<vm::GuestProcess> process) {
  if (closing_) return;
  ++item->round;
  if (item->pause) item->pause->notify();
  item->process = nullptr;  // a former run has nothing to say any more
  item->pause = std::make_shared<loop::Event>(executor_);
  item->info.restart_count = 0;
  settle(*item, WorkloadState::pending, "it is being started");
  tasks_.spawn(cat("workload ", item->info.id), keep_running(item, item->round, std::move(process)));
}

Task<Workload> Supervisor::start(std::string workspace, std::string id) {
  CO_TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  CO_TRY_ASSIGN(const auto machine, host_.machine(item->info.workspace_id));
  if (item->info.state != WorkloadState::running) begin(item);
  co_return item->info;
}

Task<void> Supervisor::wait_until_gone(ItemPtr item) {
  while (item->process != nullptr) {
    (void)co_await item->gone.async_wait(loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
  }
  co_return Status{};
}

Task<void> Supervisor::end_process(ItemPtr item) {
  if (item->process != nullptr) (void)item->process->signal(SIGTERM);
  (void)co_await loop::with_deadline(wait_until_gone(item), options_.stop_grace, "end of a workload");
  if (item->process != nullptr) (void)item->process->signal(SIGKILL);
  co_return co_await loop::with_deadline(wait_until_gone(item), kKillLimit, "end of a workload that was killed");
}

Task<Workload> Supervisor::stop(std::string workspace, std::string id) {
  CO_TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  if (item->info.state != WorkloadState::running && item->info.state != WorkloadState::pending) co_return item->info;
  ++item->round;  // whatever ends now is not started again
  if (item->pause) item->pause->notify();
  CO_TRY(co_await end_process(item));
  if (item->info.state == WorkloadState::running || item->info.state == WorkloadState::pending) {
    const bool ran = item->info.state == WorkloadState::running;
    settle(*item, WorkloadState::stopped, "somebody stopped it");
    if (ran) host_.tell(item->info.workspace_id, EventKind::workload_exited, cat(item->info.id, " was stopped"));
  }
  co_return item->info;
}

void Supervisor::settle(Item& item, WorkloadState state, std::string detail) {
  item.info.state = state;
  item.info.detail = std::move(detail);
  item.info.updated_at = system_clock::now();
  if (state != WorkloadState::running) {
    item.info.guest_pid.reset();
    item.last_cpu.reset();
  }
}

void Supervisor::keep_line(Item& item, LogStream stream, std::string text) {
  WorkloadLine line{item.info.id, system_clock::now(), stream, std::move(text)};
  if (item.info.spec.keep_output == KeepOutput::yes) host_.keep_line(item.info.workspace_id, line.text);
  item.followers.push(line);
  item.bytes += line.text.size() + kLineCost;
  item.lines.push_back(std::move(line));
  const std::size_t most = std::size_t{item.info.spec.max_log_size_mb} << 20;
  while (item.bytes > most && !item.lines.empty()) {
    item.bytes -= item.lines.front().text.size() + kLineCost;
    item.lines.pop_front();
  }
}

// `item` outlives the task.
Task<std::unique_ptr<vm::GuestProcess>> Supervisor::start_process(const Item& item) {
  model::ExecSpec spec;
  spec.argv = item.info.spec.argv;
  spec.env = item.info.spec.env;
  spec.cwd = item.info.spec.working_dir;
  spec.user = item.info.spec.user;
  spec.tag = workload_tag(item.info.id);
  spec.timeout = 0ms;
  spec.max_output_bytes = 0;
  return host_.start(item.info.workspace_id, std::move(spec));
}

Task<Supervisor::RunEnd> Supervisor::run_once(ItemPtr item, std::uint64_t round,
                                              std::unique_ptr<vm::GuestProcess> process) {
  RunEnd end;
  const bool goes_on = process != nullptr;
  if (!goes_on) {
    auto started = co_await start_process(*item);
    if (!started) {
      end.how = host_.machine(item->info.workspace_id) ? RunEnd::How::not_started : RunEnd::How::machine_gone;
      end.detail = started.error().message;
      co_return end;
    }
    process = std::move(*started);
  }
  if (item->round != round) co_return end;  // stopped meanwhile: the process goes with its object
  const Present present(*item, *process);
  settle(*item, WorkloadState::running, "");
  if (!goes_on || !item->info.started_at) item->info.started_at = system_clock::now();
  if (process->pid() != 0) item->info.guest_pid = process->pid();
  if (!goes_on) host_.tell(item->info.workspace_id, EventKind::workload_started, item->info.id);
  LineSplitter out;
  LineSplitter err;
  const auto keep_out = [&](std::string line) { keep_line(*item, LogStream::stdout_, std::move(line)); };
  const auto keep_err = [&](std::string line) { keep_line(*item, LogStream::stderr_, std::move(line)); };
  for (;;) {
    auto next = co_await process->read();
    if (!next) {
      end.how = RunEnd::How::machine_gone;
      end.detail = next.error().message;
      break;
    }
    if (!*next) {
      end.exit_code = process->exit_status().code;
      break;
    }
    if ((*next)->channel == vm::Channel::stdout_) {
      out.add((*next)->bytes, keep_out);
    } else {
      err.add((*next)->bytes, keep_err);
    }
  }
  out.finish(keep_out);
  err.finish(keep_err);
  if (end.how == RunEnd::How::ended) item->info.exit_code = end.exit_code;
  co_return end;
}

Task<void> Supervisor::keep_running(ItemPtr item, std::uint64_t round, std::unique_ptr<vm::GuestProcess> process) {
  const auto pause = item->pause;
  std::uint32_t in_a_row = 0;
  while (item->round == round) {
    const auto began = steady_clock::now();
    CO_TRY_ASSIGN(const RunEnd end, co_await run_once(item, round, std::exchange(process, nullptr)));
    if (item->round != round || item->removed) co_return Status{};
    if (end.how == RunEnd::How::machine_gone) {
      settle(*item, WorkloadState::pending, "its workspace does not run");
      co_return Status{};
    }
    const bool failed = end.how == RunEnd::How::not_started || end.exit_code != 0;
    const std::string how = end.how == RunEnd::How::not_started ? cat("it could not be started: ", end.detail)
                                                                : cat("it ended with ", end.exit_code);
    const auto& spec = item->info.spec;
    Backoff backoff;
    backoff.first = spec.restart_delay;
    backoff.factor = spec.restart_backoff;
    backoff.longest = kLongestDelay;
    backoff.max_restarts = spec.max_restarts;
    const auto ran = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began);
    in_a_row = backoff.in_a_row(in_a_row, ran);
    std::optional<std::chrono::milliseconds> delay;
    if (spec.restart_policy == model::RestartPolicy::always ||
        (spec.restart_policy == model::RestartPolicy::on_failure && failed)) {
      delay = backoff.delay(in_a_row);
    }
    host_.tell(item->info.workspace_id, failed ? EventKind::workload_failed : EventKind::workload_exited,
               cat(item->info.id, ": ", how));
    if (!delay) {
      settle(*item, failed ? WorkloadState::failed : WorkloadState::exited, how);
      if (spec.vm_on_exit != VmOnExit::nothing) {
        host_.ended(item->info.workspace_id, spec.vm_on_exit, cat("the workload ", item->info.id, ": ", how));
      }
      co_return Status{};
    }
    settle(*item, WorkloadState::pending, cat(how, "; it is started again in ", delay->count(), " ms"));
    (void)co_await loop::with_deadline(pause->wait(), *delay, "pause before a restart");
    if (item->round != round) co_return Status{};
    ++in_a_row;
    ++item->info.restart_count;
  }
  co_return Status{};
}

Result<std::vector<WorkloadLine>> Supervisor::logs(const std::string& workspace, const std::string& id,
                                                   std::size_t tail) const {
  TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  const auto count = tail == 0 ? item->lines.size() : std::min(tail, item->lines.size());
  return std::vector<WorkloadLine>(std::prev(item->lines.end(), static_cast<std::ptrdiff_t>(count)), item->lines.end());
}

Result<std::shared_ptr<Feed<WorkloadLine>>> Supervisor::follow_logs(const std::string& workspace,
                                                                    const std::string& id) {
  TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  return item->followers.open(executor_);
}

Task<std::vector<WorkloadStats>> Supervisor::figures(std::string workspace_id, std::vector<ItemPtr> items) {
  std::vector<vm::GuestProcessInfo> processes;
  const bool any =
      std::any_of(items.begin(), items.end(), [](const ItemPtr& item) { return item->process != nullptr; });
  if (const auto machine = host_.machine(workspace_id); any && machine) {
    CO_TRY_ASSIGN(processes, co_await (*machine)->processes());
  }
  const auto now = steady_clock::now();
  std::vector<WorkloadStats> all;
  for (const auto& item : items) {
    WorkloadStats stats;
    stats.workload_id = item->info.id;
    stats.state = item->info.state;
    stats.guest_pid = item->info.guest_pid;
    if (item->info.state == WorkloadState::running) {
      const auto usage = tree_usage(processes, item->info.guest_pid.value_or(0));
      stats.cpu_ms = usage.cpu_ms;
      stats.rss_bytes = usage.rss_kib * 1024;
      stats.uptime =
          std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now() - item->info.started_at.value());
      if (item->last_cpu && usage.cpu_ms >= item->last_cpu->second) {
        const std::chrono::duration<double, std::milli> passed = now - item->last_cpu->first;
        const auto used = static_cast<double>(usage.cpu_ms - item->last_cpu->second);
        if (passed.count() > 0) stats.cpu_percent = used / passed.count() * 100;
      }
      item->last_cpu = std::pair(now, usage.cpu_ms);
    }
    all.push_back(std::move(stats));
  }
  co_return all;
}

Task<WorkloadStats> Supervisor::stats(std::string workspace, std::string id) {
  CO_TRY_ASSIGN(const ItemPtr item, find(workspace, id));
  std::vector<ItemPtr> one{item};
  CO_TRY_ASSIGN(const auto all, co_await figures(item->info.workspace_id, std::move(one)));
  co_return all.front();
}

Task<std::vector<WorkloadStats>> Supervisor::all_stats(std::string workspace) {
  CO_TRY_ASSIGN(const std::string workspace_id, host_.find(workspace));
  std::vector<ItemPtr> items;
  if (const auto of = items_.find(workspace_id); of != items_.end()) {
    for (const auto& [id, item] : of->second) items.push_back(item);
  }
  co_return co_await figures(workspace_id, std::move(items));
}

Result<std::shared_ptr<Feed<std::vector<WorkloadStats>>>> Supervisor::follow_stats(const std::string& workspace,
                                                                                   const std::string& id) {
  TRY_ASSIGN(std::string workspace_id, host_.find(workspace));
  std::string workload_id;
  if (!id.empty()) {
    TRY_ASSIGN(const ItemPtr item, find(workspace, id));
    workload_id = item->info.id;
  }
  if (closing_ || figure_feeds_ >= kMaxFigureFeeds) {
    return fail(Code::ResourceExhausted, cat(figure_feeds_, " subscribers follow figures already"));
  }
  auto feed = std::make_shared<Feed<std::vector<WorkloadStats>>>(executor_, 16);
  ++figure_feeds_;
  tasks_.spawn("figures of workloads", feed_figures(feed, std::move(workspace_id), std::move(workload_id)));
  return feed;
}

Task<void> Supervisor::feed_figures(std::weak_ptr<Feed<std::vector<WorkloadStats>>> weak, std::string workspace,
                                    std::string id) {
  struct Count {
    explicit Count(std::size_t& target) : count(target) {}
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { --count; }
    std::size_t& count;
  };
  const Count count(figure_feeds_);
  for (;;) {
    if (weak.expired()) co_return Status{};
    std::vector<WorkloadStats> news;
    Status failed;
    if (id.empty()) {
      auto all = co_await all_stats(workspace);
      if (all) news = std::move(*all);
      if (!all) failed = fail(std::move(all.error()));
    } else {
      auto one = co_await stats(workspace, id);
      if (one) news.push_back(std::move(*one));
      if (!one) failed = fail(std::move(one.error()));
    }
    if (const auto feed = weak.lock()) {
      if (failed) feed->push(std::move(news));
      // Its workload or workspace has gone; anything else may pass.
      if (!failed && failed.error().code == Code::NotFound) {
        feed->close();
        co_return Status{};
      }
    }
    CO_TRY(co_await loop::sleep_for(options_.figures_every));
  }
}

}  // namespace cofferdam::workspace

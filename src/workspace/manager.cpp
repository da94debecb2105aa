#include "workspace/manager.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "workspace/environment.h"
#include "workspace/limited_process.h"
#include "workspace/manager_impl.h"
#include "workspace/reported_process.h"

namespace cofferdam::workspace {
namespace {

using std::chrono::system_clock;

PoolOptions pool_options(const ManagerOptions& options) {
  PoolOptions pool = options.pool;
  pool.size = options.pool_size;
  pool.standby = options.pool_standby;
  return pool;
}

}  // namespace

Info info_of(const Entry& entry) {
  const Record& record = entry.record;
  Info info;
  info.id = record.id;
  info.spec = record.spec;
  info.state = record.state;
  info.state_detail = record.detail;
  info.created_at = record.created_at;
  info.updated_at = record.updated_at;
  info.started_at = record.started_at;
  info.expires_at = record.expires_at;
  info.hostname = record.hostname;
  info.vm_id = record.vm_id;
  info.from_pool = record.from_pool;
  info.pending = record.pending;
  info.restarts = record.restarts;
  info.last_active_at = entry.last_active_at;
  info.disk_key_id = record.disk_key_id;
  info.disk_kept = record.disk_kept;
  info.asleep = entry.asleep();
  info.held = record.held;
  info.hold_reason = record.hold_reason;
  info.snapshots = entry.snapshots.size();
  info.isolated = record.isolated;
  return info;
}

Result<std::unique_ptr<Manager>> Manager::open(loop::asio::any_io_executor executor, loop::WorkerPool& workers,
                                               store::Database& database, FindImage find_image,
                                               vm::MachineDriver& driver, keys::KeyStore& keys,
                                               keys::ReceiptBook& receipts, ManagerOptions options) {
  TRY_ASSIGN(auto volumes, disk::VolumeStore::open(options.state_dir + "/disks"));
  WorkspaceTable table(options.state_dir + "/workspaces", database, workers);
  TRY(table.open());
  return std::make_unique<ManagerImpl>(std::move(executor), workers, std::move(find_image), driver, keys, receipts,
                                       std::move(options), std::move(volumes), std::move(table), database);
}

ManagerImpl::ManagerImpl(loop::asio::any_io_executor executor, loop::WorkerPool& workers, FindImage find_image,
                         vm::MachineDriver& driver, keys::KeyStore& keys, keys::ReceiptBook& receipts,
                         ManagerOptions options, disk::VolumeStore volumes, WorkspaceTable table,
                         store::Database& database)
    : executor_(std::move(executor)),
      workers_(workers),
      find_image_(std::move(find_image)),
      driver_(driver),
      keys_(keys),
      receipts_(receipts),
      options_(std::move(options)),
      volumes_(std::move(volumes)),
      table_(std::move(table)),
      snapshot_table_(database),
      archive_table_(database),
      budget_(options_.memory),
      machines_(executor_, workers_, driver_, volumes_),
      pool_(executor_, workers_, find_image_, machines_, budget_, pool_options(options_)),
      cold_starts_(executor_, "too many virtual machines are being started", options_.cold_starts_at_once,
                   options_.max_workspaces),
      operations_(executor_),
      watchers_(executor_),
      workloads_(executor_, WorkloadTable(database), workload_host(),
                 {options_.workload_figures_every, options_.workload_stop_grace}) {}

Result<ManagerImpl::EntryPtr> ManagerImpl::find(const std::string& id) const {
  if (const auto by_id = entries_.find(id); by_id != entries_.end()) return by_id->second;
  for (const auto& [key, entry] : entries_) {
    if (!id.empty() && (entry->record.spec.slug == id || entry->record.spec.name == id)) return entry;
  }
  return fail(Code::NotFound, cat("there is no workspace '", id, "'"),
              "list them with `coffer ls`; a temporary one is gone when its time is over or its machine has ended");
}

std::vector<Info> ManagerImpl::list() const {
  std::vector<Info> all;
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) all.push_back(info_of(*entry));
  return all;
}

Result<Info> ManagerImpl::get(const std::string& id) const {
  TRY_ASSIGN(const EntryPtr entry, find(id));
  return info_of(*entry);
}

Result<Owner> ManagerImpl::owner(const std::string& id) const {
  TRY_ASSIGN(const EntryPtr entry, find(id));
  return Owner{entry->record.id, entry->record.spec.namespace_id};
}

HostInfo ManagerImpl::host_info() const {
  HostInfo info;
  info.accelerator = driver_.accelerator();
  info.workspaces = static_cast<std::uint32_t>(entries_.size());
  info.running = static_cast<std::uint32_t>(std::count_if(entries_.begin(), entries_.end(), [](const auto& it) {
    return it.second->record.state == model::State::running;
  }));
  info.pools = pool_.status();
  return info;
}

Result<std::shared_ptr<vm::Machine>> ManagerImpl::machine(const std::string& id) const {
  TRY_ASSIGN(const EntryPtr entry, find(id));
  TRY(check_free(*entry));
  if (entry->running() && entry->machine) return entry->machine;
  std::string hint;
  if (entry->record.state == model::State::stopped) hint = cat("start it with `coffer start ", id, "`");
  if (entry->stands_still()) hint = "resume it first";
  return fail(Code::FailedPrecondition,
              cat("the workspace '", id, "' is ", model::state_name(entry->record.state), ", not running"),
              std::move(hint));
}

void ManagerImpl::step(Entry& entry, model::State to, std::string detail) {
  Record& record = entry.record;
  if (!model::may_change(record.state, to)) {
    log_error("a workspace takes a step that is not in the table",
              {{"workspace", record.id},
               {"from", std::string(model::state_name(record.state))},
               {"to", std::string(model::state_name(to))}});
  }
  record.state = to;
  record.detail = std::move(detail);
  record.updated_at = system_clock::now();
}

Task<void> ManagerImpl::save(EntryPtr entry) { co_return co_await save_as(entry, durability_of(entry->record)); }

Task<void> ManagerImpl::save_as(EntryPtr entry, store::Durability durability) {
  Record record = entry->record;
  // What has always been there in the clear is sealed with the disk, and not lost before.
  if (!has_plain_disk(record)) seal_env(record, entry->seal_key);
  co_return co_await table_.write(std::move(record), durability);
}

// What the workspace says beyond its image, secrets included: not to be kept.
Task<std::vector<std::string>> ManagerImpl::environment_of(EntryPtr entry) {
  const auto& spec = entry->record.spec;
  if (spec.secrets.empty()) co_return spec.env;
  if (!options_.reveal_secrets) co_return fail(Code::FailedPrecondition, "this host keeps no secrets");
  auto values = co_await options_.reveal_secrets(spec.namespace_id, spec.secrets);
  if (!values) co_return fail(std::move(values.error()));
  std::vector<std::string> items;
  for (const auto& [name, value] : *values) items.push_back(cat(name, "=", value.view()));
  co_return merge_env(entry->record.spec.env, items);
}

Task<std::unique_ptr<vm::GuestProcess>> ManagerImpl::exec(std::string id, model::ExecSpec spec, AfterExec after,
                                                          KeepOutput keep_output) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  CO_TRY(model::validate(spec));
  CO_TRY(recorder().ready());
  ExecRecord record(recorder(), spec);
  auto process = co_await begin_exec(id, std::move(spec), after, keep_output, record);
  if (!process) {
    const auto found = find(id);
    record.failed(process.error(), found ? subject_of(**found) : model::Subject{id, {}});
  }
  co_return process;
}

// `record` outlives the task.
Task<std::unique_ptr<vm::GuestProcess>> ManagerImpl::begin_exec(std::string id, model::ExecSpec spec, AfterExec after,
                                                                KeepOutput keep_output, ExecRecord& record) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  if (after == AfterExec::remove && entry->record.after_exec != after) {
    CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
    if (!entry->gone) {
      entry->record.after_exec = after;
      CO_TRY(co_await save(entry));
    }
  }
  CO_TRY_ASSIGN(const auto machine, co_await wake_machine(entry->record.id));
  ProcessLimits limits;
  limits.max_output_bytes = spec.max_output_bytes;
  limits.timeout = spec.timeout;
  CO_TRY_ASSIGN(const auto env, co_await environment_of(entry));
  spec = complete_exec(std::move(spec), entry->record.image_config, env);
  if (!spec.tag.empty()) spec.tag = record.tag(spec.tag);
  CO_TRY(check_free(*entry));
  record.started(subject_of(*entry), entry->record.spec.secrets);
  auto sleeps = spec.tag.empty() ? ExecRecord::Sleeps{} : sleeps_of(entry);
  auto started = co_await machines_.start_process(machine, std::move(spec));
  if (!started) co_return fail(std::move(started.error()));
  auto end = [this, entry](std::shared_ptr<vm::Machine> doomed) { return end_unless_still(entry, std::move(doomed)); };
  auto limited = limit_process(std::move(*started), machine, limits, watchers_, std::move(end));
  co_return record.follow(in_use(entry, std::move(limited), keep_output), std::move(sleeps));
}

std::unique_ptr<vm::GuestProcess> ManagerImpl::in_use(const EntryPtr& entry, std::unique_ptr<vm::GuestProcess> process,
                                                      KeepOutput keep_output) {
  ProcessReport report;
  ++entry->in_use;
  const std::weak_ptr<Entry> user = entry;
  const auto lines = std::make_shared<LineSplitter>();
  auto keep = [this, user](std::string line) {
    if (const auto kept = user.lock()) note(kept, LogSource::cmd, std::move(line));
  };
  if (keep_output == KeepOutput::yes) {
    report.on_output = [lines, keep](const vm::Output& output) { lines->add(output.bytes, keep); };
  }
  report.on_gone = [user, lines, keep] {
    lines->finish(keep);
    if (const auto used = user.lock()) end_use(*used);
  };
  return report_process(std::move(process), std::move(report));
}

std::vector<vm::LeftProcess> ManagerImpl::take_left(const std::string& id) {
  const auto found = find(id);
  if (!found || !(*found)->machine) return {};
  sort_left(*found);
  return std::exchange((*found)->left, {});
}

// What a machine goes on with that has slept, or was another daemon's: workloads are their supervisor's again, and the
// rest waits to be asked for.
void ManagerImpl::sort_left(const EntryPtr& entry) {
  for (auto& left : entry->machine->take_left()) {
    const bool lost = left.output_lost;
    auto resumed = ExecRecord::resume(recorder(), subject_of(*entry), std::move(left), sleeps_of(entry));
    if (!resumed) {
      log_warn("a command that was left running is killed",
               {{"workspace", entry->record.id}, {"error", resumed.error().message}});
      continue;
    }
    if (const auto workload = workload_of_tag(resumed->rest)) {
      workloads_.take_up(entry->record.id, *workload, std::move(resumed->process));
      continue;
    }
    entry->left.push_back({std::move(resumed->rest), in_use(entry, std::move(resumed->process), KeepOutput::no), lost});
  }
}

// A command that can be followed later has not ended when its machine goes to sleep.
ExecRecord::Sleeps ManagerImpl::sleeps_of(const EntryPtr& entry) {
  return [asleep = std::weak_ptr<Entry>(entry)] {
    const auto of = asleep.lock();
    return of && of->asleep();
  };
}

// A guest that stands still cannot answer: that is no reason to destroy it.
Task<void> ManagerImpl::end_unless_still(EntryPtr entry, std::shared_ptr<vm::Machine> machine) {
  if (contained(*entry) || (entry->machine == machine && entry->stands_still())) co_return Status{};
  co_return co_await machines_.end(std::move(machine));
}

}  // namespace cofferdam::workspace

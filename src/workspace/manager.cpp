#include "workspace/manager.h"

#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "workspace/environment.h"
#include "workspace/limited_process.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

constexpr auto kColdStartTurn = 2min;

bool fits_pool(const model::WorkspaceSpec& spec) {
  return spec.cpu_millis == spec.shape().vcpus * 1000 && spec.io == model::IoLimits{};
}

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
  return info;
}

Result<std::unique_ptr<Manager>> Manager::open(loop::asio::any_io_executor executor, loop::WorkerPool& workers,
                                               store::Database& database, FindImage find_image,
                                               vm::MachineDriver& driver, ManagerOptions options) {
  TRY_ASSIGN(auto volumes, disk::VolumeStore::open(options.state_dir + "/disks"));
  (void)database;
  WorkspaceTable table(options.state_dir + "/workspaces");
  TRY(table.open());
  return std::make_unique<ManagerImpl>(std::move(executor), workers, std::move(find_image), driver, std::move(options),
                                       std::move(volumes), std::move(table));
}

ManagerImpl::ManagerImpl(loop::asio::any_io_executor executor, loop::WorkerPool& workers, FindImage find_image,
                         vm::MachineDriver& driver, ManagerOptions options, disk::VolumeStore volumes,
                         WorkspaceTable table)
    : executor_(std::move(executor)),
      workers_(workers),
      find_image_(std::move(find_image)),
      driver_(driver),
      options_(std::move(options)),
      volumes_(std::move(volumes)),
      table_(std::move(table)),
      budget_(options_.memory),
      machines_(executor_, workers_, driver_, volumes_),
      pool_(executor_, workers_, find_image_, machines_, budget_, pool_options(options_)),
      cold_starts_(executor_, "too many virtual machines are being started", options_.cold_starts_at_once,
                   options_.max_workspaces),
      operations_(executor_),
      watchers_(executor_),
      workloads_(make_no_workloads()) {}

Result<ManagerImpl::EntryPtr> ManagerImpl::find(const std::string& id) const {
  if (const auto by_id = entries_.find(id); by_id != entries_.end()) return by_id->second;
  for (const auto& [key, entry] : entries_) {
    if (!id.empty() && entry->record.spec.name == id) return entry;
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
  if (entry->record.state == model::State::running && entry->machine) return entry->machine;
  return fail(Code::FailedPrecondition,
              cat("the workspace '", id, "' is ", model::state_name(entry->record.state), ", not running"),
              entry->record.state == model::State::stopped ? cat("start it with `coffer start ", id, "`") : "");
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

Task<void> ManagerImpl::save(EntryPtr entry) {
  auto write = [this, record = entry->record] { return table_.write(record); };
  co_return co_await workers_.run(std::move(write));
}

Status ManagerImpl::check_new(const model::WorkspaceSpec& spec) const {
  if (closing_) return fail(Code::Unavailable, "the daemon is shutting down");
  TRY(model::validate(spec));
  if (is_id(spec.name, "ws")) {
    return fail(Code::InvalidArgument, cat("/name: '", spec.name, "' has the form of a workspace's id"),
                "choose another name");
  }
  if (!spec.name.empty() && find(spec.name)) {
    return fail(Code::AlreadyExists, cat("there is a workspace named '", spec.name, "' already"),
                cat("choose another name, or remove it with `coffer rm ", spec.name, "`"));
  }
  if (entries_.size() >= options_.max_workspaces) {
    return fail(Code::ResourceExhausted,
                cat("this host has ", entries_.size(), " workspaces; its limit is ", options_.max_workspaces),
                "remove some, or raise max_workspaces in the daemon's configuration");
  }
  return {};
}

Task<Info> ManagerImpl::create(model::WorkspaceSpec spec, std::string idempotency_key) {
  if (!idempotency_key.empty()) co_return fail(Code::Unimplemented, "idempotency keys are not built yet");
  CO_TRY(check_new(spec));
  Record record;
  record.id = new_id("ws");
  record.spec = std::move(spec);
  record.created_at = record.updated_at = system_clock::now();
  record.hostname = hostname_for(record.spec.name, record.id);
  auto entry = std::make_shared<Entry>(executor_, std::move(record));
  entries_.emplace(entry->record.id, entry);  // the name is taken from here on
  auto nobody_wants_it = [this](const Info& info) {
    operations_.spawn("removal of an unclaimed workspace", remove_unclaimed(info.id));
  };
  co_return co_await run_owned<Info>(operations_, "create", do_create(std::move(entry)), std::move(nobody_wants_it));
}

Task<Info> ManagerImpl::do_create(EntryPtr entry) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone) co_return fail(Code::Aborted, "the workspace was removed before it was made");
  auto up = co_await bring_up(entry);
  if (up) co_return info_of(*entry);
  (void)co_await let_go(entry);
  (void)co_await forget(entry);
  co_return fail(std::move(up.error()));
}

Task<MemoryBudget::Reservation> ManagerImpl::reserve_memory(std::uint64_t guest_mib) {
  for (;;) {
    auto reserved = budget_.reserve(guest_mib);
    if (reserved) co_return reserved;
    // What is only kept ready makes room for what somebody wants now.
    auto given_up = co_await pool_.give_up_one();
    if (!given_up) co_return reserved;
  }
}

Task<Prepared> ManagerImpl::cold_start(EntryPtr entry, MachineWish wish, std::optional<disk::Volume> volume) {
  const Pool::Hold hold(pool_);
  CO_TRY_ASSIGN(const auto place, co_await cold_starts_.enter(kColdStartTurn));
  CO_TRY_ASSIGN(auto memory, co_await reserve_memory(wish.shape.memory_mib));
  entry->record.from_pool = false;
  wish.stage = vm::Stage::standby;
  wish.urgency = vm::Urgency::awaited;
  if (volume) co_return co_await machines_.make_on(std::move(*volume), std::move(wish), std::move(memory));
  co_return co_await machines_.make(std::move(wish), std::move(memory));
}

Task<void> ManagerImpl::hand_over(EntryPtr entry) {
  vm::Claim claim;
  claim.hostname = entry->record.hostname;
  claim.ttl = entry->record.spec.ttl;
  claim.lease = vm::Lease::own;
  co_return co_await machines_.claim(entry->machine, std::move(claim));
}

// From creating to running. The caller undoes after a failure.
Task<void> ManagerImpl::bring_up(EntryPtr entry) {
  Record& record = entry->record;
  auto look = [this, name = record.spec.image] { return find_image_(name); };
  CO_TRY_ASSIGN(auto image, co_await workers_.run(std::move(look)));
  if (!record.image_digest.empty() && record.image_digest != image.digest) {
    log_warn("a workspace starts on another build of its image", {{"workspace", record.id}, {"image", image.name}});
  }
  record.image_digest = image.digest;
  record.image_config = image.config;

  MachineWish wish;
  wish.shape = record.spec.shape();
  wish.cpu_millis = record.spec.cpu_millis;
  wish.io = record.spec.io;
  wish.disk_mib = record.spec.disk_mib;
  const bool first_start = !record.started_at;
  // A member of the pool may die in the very moment it is taken: then the next best is taken, once each.
  enum class Source { ready, standby, made };
  for (auto source = first_start && fits_pool(record.spec) ? Source::ready : Source::made;;) {
    std::optional<Prepared> prepared;
    if (source == Source::ready) prepared = pool_.take(image, wish.shape, wish.disk_mib);
    record.from_pool = prepared.has_value();
    if (!prepared && source != Source::made) {
      source = Source::standby;
      prepared = pool_.take_standby(image, wish.shape, wish.disk_mib);
    }
    if (!prepared) {
      source = Source::made;
      std::optional<disk::Volume> volume;
      if (!first_start) {
        auto open = [path = table_.disk_path(record.id)] { return disk::Volume::open(path); };
        CO_TRY_ASSIGN(volume, co_await workers_.run(std::move(open)));
      }
      wish.image = image;
      CO_TRY_ASSIGN(prepared, co_await cold_start(entry, wish, std::move(volume)));
    }
    entry->machine = prepared->machine;
    entry->memory = std::move(prepared->memory);
    record.vm_id = entry->machine->id();
    if (entry->permanent() && first_start) {
      // Written before the machine outlives the daemon: its disk has a name now.
      auto keep = [this, copy = record, volume = std::move(prepared->volume)]() mutable -> Status {
        TRY(table_.make_folder(copy.id));
        TRY(volume.persist(table_.disk_path(copy.id)));
        return table_.write(copy);
      };
      CO_TRY(co_await workers_.run(std::move(keep)));
    }
    const Pool::Hold hold(pool_);
    auto handed_over = source == Source::ready ? Status{} : co_await machines_.wake(entry->machine, record.hostname);
    if (handed_over) handed_over = co_await hand_over(entry);
    if (handed_over) break;
    if (source == Source::made) co_return handed_over;
    log_warn("a pool member could not be handed over", {{"vm", record.vm_id}, {"error", handed_over.error().message}});
    CO_TRY(co_await let_go(entry));
    if (entry->permanent()) (void)co_await remove_folder(record.id);
    source = Source::made;
  }
  record.started_at = system_clock::now();
  record.expires_at.reset();
  if (record.spec.ttl) record.expires_at = *record.started_at + *record.spec.ttl;
  step(*entry, model::State::running);
  CO_TRY(co_await save(entry));
  watchers_.spawn("watch of a virtual machine", watch(entry, entry->machine));
  co_return Status{};
}

Task<std::unique_ptr<vm::GuestProcess>> ManagerImpl::exec(std::string id, model::ExecSpec spec, AfterExec after,
                                                          KeepOutput /*keep_output*/) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  CO_TRY(model::validate(spec));
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  if (after == AfterExec::remove && entry->record.after_exec != after) {
    CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
    if (!entry->gone) {
      entry->record.after_exec = after;
      CO_TRY(co_await save(entry));
    }
  }
  CO_TRY_ASSIGN(const auto machine, this->machine(entry->record.id));
  ProcessLimits limits;
  limits.max_output_bytes = spec.max_output_bytes;
  limits.timeout = spec.timeout;
  spec = complete_exec(std::move(spec), entry->record.image_config, entry->record.spec.env);
  auto started = co_await machines_.start_process(machine, std::move(spec));
  if (!started) co_return fail(std::move(started.error()));
  auto end = [this](std::shared_ptr<vm::Machine> doomed) { return machines_.end(std::move(doomed)); };
  co_return limit_process(std::move(*started), machine, limits, watchers_, std::move(end));
}

}  // namespace cofferdam::workspace

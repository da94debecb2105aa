// From a wish to a workspace that runs: whether it may be, and its machine, disk and record.
#include <algorithm>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "workspace/environment.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

constexpr auto kColdStartTurn = 2min;
constexpr std::size_t kMaxKey = 255;

bool fits_pool(const model::WorkspaceSpec& spec) {
  return spec.cpu_millis == spec.shape().vcpus * 1000 && spec.io == model::IoLimits{};
}

}  // namespace

ManagerImpl::EntryPtr ManagerImpl::find_by_key(const std::string& namespace_id, const std::string& key) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const auto& item) {
    const Record& record = item.second->record;
    return record.idempotency_key == key && record.spec.namespace_id == namespace_id;
  });
  return found == entries_.end() ? nullptr : found->second;
}

identity::Totals ManagerImpl::usage_of(const std::string& namespace_id) const {
  return promised_to(namespace_id, nullptr);
}

identity::Totals ManagerImpl::promised_to(const std::string& namespace_id, const Entry* all_but) const {
  identity::Totals totals;
  for (const auto& [id, entry] : entries_) {
    if (entry.get() == all_but || entry->record.spec.namespace_id != namespace_id) continue;
    const auto own = promised_to(entry->record);
    totals.workspaces += own.workspaces;
    totals.cpu_millis += own.cpu_millis;
    totals.memory_mib += own.memory_mib;
    totals.disk_mib += own.disk_mib;
  }
  return totals;
}

// What it has now, or will have at its next start.
identity::Totals ManagerImpl::promised_to(const Record& record) {
  const Resources pending = record.pending.value_or(Resources{});
  const auto& spec = record.spec;
  return {1, std::max(spec.cpu_millis, pending.cpu_millis.value_or(0)),
          std::max(spec.memory_mib, pending.memory_mib.value_or(0)),
          std::max(spec.disk_mib, pending.disk_mib.value_or(0))};
}

// What runs may run on: this is for what does not.
Task<void> ManagerImpl::check_may_run(EntryPtr entry) {
  if (!options_.may_run) co_return Status{};
  const auto& record = entry->record;
  const auto others = promised_to(record.spec.namespace_id, entry.get());
  co_return co_await options_.may_run(record.spec.namespace_id, others, promised_to(record));
}

Status ManagerImpl::check_name(const std::string& name, const Entry* self) const {
  if (name.empty()) return {};
  if (is_id(name, "ws")) {
    return fail(Code::InvalidArgument, cat("/name: '", name, "' has the form of a workspace's id"),
                "choose another name");
  }
  const auto found = find(name);
  if (!found || found->get() == self) return {};
  return fail(Code::AlreadyExists, cat("there is a workspace named '", name, "' already"),
              cat("choose another name, or remove it with `coffer rm ", name, "`"));
}

Status ManagerImpl::check_slug(const std::string& slug, const Entry* self) const {
  if (slug.empty()) return {};
  const auto found = find(slug);
  if (!found || found->get() == self) return {};
  return fail(Code::AlreadyExists, cat("/slug: there is a workspace '", slug, "' already"), "choose another slug");
}

Status ManagerImpl::check_new(const model::WorkspaceSpec& spec) const {
  if (closing_) return fail(Code::Unavailable, "the daemon is shutting down");
  TRY(model::validate(spec));
  TRY(check_name(spec.name, nullptr));
  TRY(check_slug(spec.slug, nullptr));
  if (!spec.secrets.empty() && !options_.reveal_secrets) {
    return fail(Code::FailedPrecondition, "/config/secrets: this host keeps no secrets");
  }
  if (entries_.size() >= options_.max_workspaces) {
    return fail(Code::ResourceExhausted,
                cat("this host has ", entries_.size(), " workspaces; its limit is ", options_.max_workspaces),
                "remove some, or raise max_workspaces in the daemon's configuration");
  }
  return {};
}

Task<Info> ManagerImpl::create(model::WorkspaceSpec spec, std::string idempotency_key) {
  if (idempotency_key.size() > kMaxKey) {
    co_return fail(Code::InvalidArgument, cat("/idempotency_key: longer than ", kMaxKey, " bytes"));
  }
  while (!idempotency_key.empty()) {
    const EntryPtr made = find_by_key(spec.namespace_id, idempotency_key);
    if (!made) break;
    CO_TRY_ASSIGN(const auto place, co_await made->lane.enter(kTurnLimit));
    if (!made->gone) {
      Info there = info_of(*made);
      there.was_there = true;
      co_return there;
    }
    // The first one failed: whoever comes first tries again.
  }
  CO_TRY(check_new(spec));
  Record record;
  record.id = new_id("ws");
  record.spec = std::move(spec);
  record.created_at = record.updated_at = system_clock::now();
  record.hostname = hostname_for(record.spec.name, record.id);
  record.idempotency_key = std::move(idempotency_key);
  auto entry = std::make_shared<Entry>(executor_, std::move(record));
  // The first turn is the create's own: whoever finds the entry waits for it.
  CO_TRY_ASSIGN(auto place, co_await entry->lane.enter(kTurnLimit));
  const auto in_use = usage_of(entry->record.spec.namespace_id);
  entries_.emplace(entry->record.id, entry);  // the name is taken from here on, and counted in
  Unclaimed<Info> nobody_wants_it;
  // With a key, whoever went away may ask again.
  if (entry->record.idempotency_key.empty()) {
    nobody_wants_it = [this](const Info& info) {
      operations_.spawn("removal of an unclaimed workspace", remove_unclaimed(info.id));
    };
  }
  co_return co_await run_owned<Info>(operations_, "create", do_create(std::move(entry), std::move(place), in_use),
                                     std::move(nobody_wants_it));
}

Task<Info> ManagerImpl::do_create(EntryPtr entry, Lane::Place /*place*/, identity::Totals in_use) {
  Status up;
  if (options_.admit) {
    const auto& spec = entry->record.spec;
    up = co_await options_.admit(spec.namespace_id, in_use, {1, spec.cpu_millis, spec.memory_mib, spec.disk_mib});
  }
  if (up) up = co_await bring_up(entry);
  if (up) {
    tell(entry, EventKind::created);
    recorder().note({{},
                     subject_of(*entry),
                     model::KeyCreated{entry->record.disk_key_id, "disk of a workspace",
                                       entry->record.disk_kept ? "key tree" : "memory"}});
    co_return info_of(*entry);
  }
  (void)co_await let_go(entry);
  (void)co_await erase(entry);
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
  if (!entry->record.held) claim.ttl = hard_ttl(entry->record.spec);
  claim.lease = vm::Lease::own;
  co_return co_await machines_.claim(entry->machine, std::move(claim));
}

Task<void> ManagerImpl::attach_network(EntryPtr entry) {
  if (!options_.network.attach || entry->record.isolated) co_return Status{};
  auto attached = co_await options_.network.attach(entry->record.id, entry->machine);
  if (!attached) co_return fail(std::move(attached.error()).in("the network of the workspace"));
  co_return attached;
}

// From creating to running. The caller undoes after a failure.
Task<void> ManagerImpl::bring_up(EntryPtr entry) {
  Record& record = entry->record;
  if (record.pending) CO_TRY(co_await apply_pending(entry));
  auto look = [this, name = record.spec.image] { return find_image_(name); };
  CO_TRY_ASSIGN(auto image, co_await workers_.run(std::move(look)));
  if (!record.image_digest.empty() && record.image_digest != image.digest) {
    log_warn("a workspace starts on another build of its image", {{"workspace", record.id}, {"image", image.name}});
  }
  record.image_digest = image.digest;
  record.image_config = image.config;
  record.build = driver_.build_of(image, record.spec.shape());

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
        CO_TRY_ASSIGN(volume, co_await open_disk(entry));
      }
      wish.image = image;
      CO_TRY_ASSIGN(prepared, co_await cold_start(entry, wish, std::move(volume)));
    }
    entry->machine = prepared->machine;
    entry->memory = std::move(prepared->memory);
    record.vm_id = entry->machine->id();
    if (first_start) take_disk(*entry, std::move(prepared->volume));
    // Written before the machine outlives the daemon: its disk has a name now.
    if (record.spec.keeps_disk() && first_start) CO_TRY(co_await keep_disk(entry));
    const Pool::Hold hold(pool_);
    auto handed_over = source == Source::ready ? Status{} : co_await machines_.wake(entry->machine, record.hostname);
    if (handed_over) handed_over = co_await hand_over(entry);
    if (handed_over) break;
    if (source == Source::made) co_return handed_over;
    log_warn("a pool member could not be handed over", {{"vm", record.vm_id}, {"error", handed_over.error().message}});
    CO_TRY(co_await let_go(entry));
    if (record.disk_kept && first_start) {
      CO_TRY(co_await remove_old_disk(record));
      record.disk_kept = false;
    }
    source = Source::made;
  }
  CO_TRY(co_await attach_network(entry));
  record.started_at = system_clock::now();
  record.expires_at.reset();
  if (record.spec.ttl && !record.held) record.expires_at = *record.started_at + *record.spec.ttl;
  step(*entry, model::State::running);
  CO_TRY(co_await save(entry));
  begin_run(entry);
  co_return Status{};
}

}  // namespace cofferdam::workspace

// What can be changed of a workspace that is there: names, notes, mode, time to live, idleness, size.
#include <algorithm>

#include "base/text.h"
#include "workspace/environment.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr milliseconds kMinTtl = 1s;
constexpr milliseconds kMaxTtl = std::chrono::hours(365 * 24);

model::WorkspaceSpec resized(model::WorkspaceSpec spec, const Resources& resources) {
  spec.cpu_millis = resources.cpu_millis.value_or(spec.cpu_millis);
  spec.memory_mib = resources.memory_mib.value_or(spec.memory_mib);
  spec.disk_mib = resources.disk_mib.value_or(spec.disk_mib);
  return spec;
}

std::uint64_t more(std::uint64_t now, std::uint64_t before) { return now > before ? now - before : 0; }

}  // namespace

std::optional<milliseconds> hard_ttl(const model::WorkspaceSpec& spec) {
  if (!spec.ttl || spec.at_end_of_ttl() == model::TtlAction::remove) return spec.ttl;
  return *spec.ttl + kGentleEnd;
}

Status check_ttl(milliseconds ttl) {
  if (ttl >= kMinTtl && ttl <= kMaxTtl) return {};
  return fail(Code::InvalidArgument, cat("/ttl: ", ttl.count(), " ms is outside one second to one year"));
}

Task<void> ManagerImpl::apply_ttl(EntryPtr entry) {
  Record& record = entry->record;
  if (!entry->machine && !entry->asleep()) co_return Status{};
  const auto ttl = record.held ? std::nullopt : record.spec.ttl;
  if (entry->machine) {
    CO_TRY(co_await machines_.set_ttl(entry->machine, record.held ? std::nullopt : hard_ttl(record.spec)));
  }
  record.expires_at.reset();
  if (ttl) record.expires_at = system_clock::now() + *ttl;
  if (entry->clock) entry->clock->notify();
  co_return Status{};
}

Task<Info> ManagerImpl::save_change(EntryPtr entry) {
  entry->record.updated_at = system_clock::now();
  CO_TRY(co_await save(entry));
  if (entry->clock) entry->clock->notify();
  co_return info_of(*entry);
}

Task<Info> ManagerImpl::set_ttl(std::string id, std::optional<milliseconds> from_now,
                                std::optional<model::TtlAction> action) {
  auto operation = [this, from_now, action](EntryPtr entry) { return do_set_ttl(std::move(entry), from_now, action); };
  return in_turn<Info>(std::move(id), "set ttl", std::move(operation));
}

Task<Info> ManagerImpl::do_set_ttl(EntryPtr entry, std::optional<milliseconds> from_now,
                                   std::optional<model::TtlAction> action) {
  if (!from_now && !entry->permanent()) {
    co_return fail(Code::InvalidArgument, "/ttl: a temporary workspace needs one");
  }
  if (from_now) CO_TRY(check_ttl(*from_now));
  if (action == model::TtlAction::stop && entry->machine) CO_TRY(co_await keep_disk(entry));
  const auto before = entry->record.spec;
  entry->record.spec.ttl = from_now;
  if (action) entry->record.spec.ttl_action = action;
  auto applied = co_await apply_ttl(entry);
  if (!applied) {
    entry->record.spec = before;
    co_return fail(std::move(applied.error()));
  }
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::update(std::string id, Change change) {
  auto operation = [this, change = std::move(change)](EntryPtr entry) { return do_update(std::move(entry), change); };
  return in_turn<Info>(std::move(id), "update", std::move(operation));
}

Task<Info> ManagerImpl::do_update(EntryPtr entry, Change change) {
  auto spec = entry->record.spec;
  if (change.name) spec.name = std::move(*change.name);
  if (change.slug) spec.slug = std::move(*change.slug);
  if (change.logo) spec.logo = std::move(*change.logo);
  spec.on_exit = change.on_exit.value_or(spec.on_exit);
  spec.restart_policy = change.restart_policy.value_or(spec.restart_policy);
  spec.max_restarts = change.max_restarts.value_or(spec.max_restarts);
  CO_TRY(model::validate(spec));
  CO_TRY(check_name(spec.name, entry.get()));
  CO_TRY(check_slug(spec.slug, entry.get()));
  entry->record.spec = std::move(spec);
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::set_metadata(std::string id, model::Metadata values, MetadataChange how) {
  auto operation = [this, values = std::move(values), how](EntryPtr entry) {
    return do_set_metadata(std::move(entry), values, how);
  };
  return in_turn<Info>(std::move(id), "set metadata", std::move(operation));
}

Task<Info> ManagerImpl::do_set_metadata(EntryPtr entry, model::Metadata values, MetadataChange how) {
  model::Metadata all = std::move(values);
  if (how == MetadataChange::merge) {
    model::Metadata merged = entry->record.spec.metadata;
    for (auto& [key, value] : all) {
      if (value.empty()) {
        merged.erase(key);
      } else {
        merged[key] = value;
      }
    }
    all = std::move(merged);
  }
  CO_TRY(model::validate(all));
  entry->record.spec.metadata = std::move(all);
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::make_permanent(std::string id, std::optional<model::RestartPolicy> restart_policy) {
  auto operation = [this, restart_policy](EntryPtr entry) {
    return do_make_permanent(std::move(entry), restart_policy);
  };
  return in_turn<Info>(std::move(id), "make permanent", std::move(operation));
}

Task<Info> ManagerImpl::do_make_permanent(EntryPtr entry, std::optional<model::RestartPolicy> restart_policy) {
  Record& record = entry->record;
  CO_TRY(co_await keep_disk(entry));
  if (restart_policy) record.spec.restart_policy = *restart_policy;
  if (!entry->permanent()) {
    record.spec.mode = model::Mode::permanent;
    record.spec.ttl.reset();
    record.spec.ttl_action.reset();
    record.after_exec = AfterExec::keep;
    CO_TRY(co_await apply_ttl(entry));
  }
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::make_temporary(std::string id, std::optional<milliseconds> ttl,
                                       std::optional<model::TtlAction> action, std::optional<model::OnExit> on_exit) {
  std::function<Task<Info>(EntryPtr)> operation = [this, ttl, action, on_exit](EntryPtr entry) {
    auto spec = entry->record.spec;
    spec.mode = model::Mode::temporary;
    if (ttl) spec.ttl = ttl;
    if (!spec.ttl) spec.ttl = model::kDefaultTemporaryTtl;
    if (action) spec.ttl_action = action;
    if (on_exit) spec.on_exit = *on_exit;
    return do_make_temporary(std::move(entry), std::move(spec));
  };
  return in_turn<Info>(std::move(id), "make temporary", std::move(operation));
}

Task<Info> ManagerImpl::do_make_temporary(EntryPtr entry, model::WorkspaceSpec spec) {
  CO_TRY(model::validate(spec));
  if (spec.keeps_disk() && entry->machine) CO_TRY(co_await keep_disk(entry));
  entry->record.spec = std::move(spec);
  CO_TRY(co_await apply_ttl(entry));
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::set_idle(std::string id, std::optional<model::IdlePolicy> policy) {
  auto operation = [this, policy](EntryPtr entry) { return do_set_idle(std::move(entry), policy); };
  return in_turn<Info>(std::move(id), "set idle", std::move(operation));
}

Task<Info> ManagerImpl::do_set_idle(EntryPtr entry, std::optional<model::IdlePolicy> policy) {
  if (policy) {
    CO_TRY(model::validate(*policy));
    if (policy->stop_after && entry->machine) CO_TRY(co_await keep_disk(entry));
  }
  entry->record.spec.idle = policy;
  touch_entry(*entry);
  co_return co_await save_change(entry);
}

Task<Info> ManagerImpl::ping(std::string id, std::optional<milliseconds> ttl) {
  auto operation = [this, ttl](EntryPtr entry) { return do_ping(std::move(entry), ttl); };
  return in_turn<Info>(std::move(id), "ping", std::move(operation));
}

Task<Info> ManagerImpl::do_ping(EntryPtr entry, std::optional<milliseconds> ttl) {
  touch_entry(*entry);
  if (ttl) {
    CO_TRY(check_ttl(*ttl));
    entry->record.spec.ttl = ttl;
  }
  if (!entry->record.spec.ttl) co_return info_of(*entry);
  CO_TRY(co_await apply_ttl(entry));
  co_return co_await save_change(entry);
}

Task<Resized> ManagerImpl::resize(std::string id, Resources resources, Apply apply) {
  auto operation = [this, resources, apply](EntryPtr entry) { return do_resize(std::move(entry), resources, apply); };
  return in_turn<Resized>(std::move(id), "resize", std::move(operation));
}

Task<Resized> ManagerImpl::do_resize(EntryPtr entry, Resources resources, Apply apply) {
  Record& record = entry->record;
  const auto before = record.pending;
  const auto planned = resized(record.spec, before.value_or(Resources{}));
  const auto wanted = resized(planned, resources);
  CO_TRY(model::validate(wanted));
  if (wanted.disk_mib < record.spec.disk_mib) {
    co_return fail(Code::FailedPrecondition,
                   cat("/disk_size_mb: the disk has ", record.spec.disk_mib, " MiB and can only grow"),
                   "create a new workspace with a smaller disk and copy the files");
  }
  if (wanted.disk_mib > record.spec.disk_mib && (record.fixed_disk || has_plain_disk(record))) {
    co_return fail(Code::FailedPrecondition,
                   "/disk_size_mb: the file system on the disk is of a version that cannot grow",
                   "create a new workspace with a larger disk and copy the files");
  }
  if (apply == Apply::now && (entry->machine || entry->asleep())) CO_TRY(co_await check_may_run(entry));
  if (!record.disk_kept) CO_TRY(co_await keep_disk(entry));
  const Resources pending{wanted.cpu_millis, wanted.memory_mib, wanted.disk_mib};
  if (!options_.admit) {
    record.pending = pending;
  } else {
    const identity::Totals wish{0, more(wanted.cpu_millis, std::max(planned.cpu_millis, record.spec.cpu_millis)),
                                more(wanted.memory_mib, std::max(planned.memory_mib, record.spec.memory_mib)),
                                more(wanted.disk_mib, planned.disk_mib)};
    const auto in_use = usage_of(record.spec.namespace_id);
    record.pending = pending;
    auto admitted = co_await options_.admit(record.spec.namespace_id, in_use, wish);
    if (!admitted) {
      record.pending = before;
      co_return fail(std::move(admitted.error()));
    }
  }
  Resized answer;
  CO_TRY_ASSIGN(answer.info, co_await save_change(entry));
  if (apply == Apply::at_next_start) co_return answer;
  if (entry->machine || entry->asleep()) {
    CO_TRY(co_await take_down(entry));
    CO_TRY_ASSIGN(answer.info, co_await do_start(entry));
    answer.relaunched = true;
    co_return answer;
  }
  CO_TRY(co_await apply_pending(entry));
  CO_TRY_ASSIGN(answer.info, co_await save_change(entry));
  co_return answer;
}

// Makes the record what a resize asked for. Not while it runs.
Task<void> ManagerImpl::apply_pending(EntryPtr entry) {
  Record& record = entry->record;
  auto spec = resized(record.spec, record.pending.value_or(Resources{}));
  if (spec.disk_mib > record.spec.disk_mib) {
    // The machine makes the disk larger at the next start, and the guest its file system.
    auto check = [this, mib = spec.disk_mib]() -> Status {
      TRY_ASSIGN(const auto room, volumes_.host_room());
      return disk::check_room(room, mib);
    };
    CO_TRY(co_await workers_.run(std::move(check)));
  }
  record.spec = std::move(spec);
  record.pending.reset();
  tell(entry, EventKind::resized,
       cat(record.spec.cpu_millis, " thousandths of a CPU, ", record.spec.memory_mib, " MiB of memory, ",
           record.spec.disk_mib, " MiB of disk"));
  co_return Status{};
}

}  // namespace cofferdam::workspace

// Start, stop, removal, and what follows when a machine ends by itself.
#include "base/log.h"
#include "base/text.h"
#include "workspace/backoff.h"
#include "workspace/manager_impl.h"
#include "workspace/parallel.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::chrono::milliseconds kStopGrace = 5s;
constexpr auto kQuietBeforeSweep = 5s;
constexpr auto kLongestUnswept = 60s;

std::string_view reason_text(vm::ExitReason reason) {
  switch (reason) {
    case vm::ExitReason::ttl:
      return "its time to live was over";
    case vm::ExitReason::out_of_memory:
      return "its virtual machine was killed for want of memory";
    case vm::ExitReason::destroyed:
      return "its virtual machine was destroyed";
    case vm::ExitReason::lease_lost:
      return "its virtual machine lost the daemon";
    case vm::ExitReason::vmm_died:
      break;
  }
  return "its virtual machine died";
}

}  // namespace

void ManagerImpl::begin_run(const EntryPtr& entry) {
  touch_entry(*entry);
  begin_watch(entry);
  if (entry->running()) workloads_.workspace_is_up(entry->record.id);
}

// Of the machine, where there is one, and of the time.
void ManagerImpl::begin_watch(const EntryPtr& entry) {
  entry->clock = std::make_shared<loop::Event>(executor_);
  if (entry->machine) watchers_.spawn("watch of a virtual machine", watch(entry, entry->machine));
  watchers_.spawn("time of a workspace", keep_time(entry, entry->clock));
}

void ManagerImpl::end_run(Entry& entry) {
  if (!entry.clock) return;
  const auto clock = std::exchange(entry.clock, nullptr);
  clock->notify();
}

// Nothing is left of the machine afterwards, or an error says so and the entry still names it.
Task<void> ManagerImpl::let_go(EntryPtr entry) {
  end_run(*entry);
  if (options_.network.detach) options_.network.detach(entry->record.id);
  if (entry->machine) CO_TRY(co_await machines_.end(entry->machine));
  if (!entry->record.vm_id.empty()) entry->last_vm_id = entry->record.vm_id;
  entry->machine.reset();
  entry->left.clear();
  if (entry->volume) {
    // A disk without a name is nobody's now. To free its blocks takes its time: not on the loop.
    auto discard = [volume = std::exchange(entry->volume, std::nullopt)]() mutable { return volume->discard(); };
    CO_TRY_ASSIGN(const auto bytes, co_await workers_.run(std::move(discard)));
    entry->discarded_bytes += bytes;
  }
  entry->memory.release();
  entry->record.vm_id.clear();
  entry->record.expires_at.reset();
  co_return Status{};
}

// What was removed last may still be in the database's journal. A sweep waits for the disk, and whoever wants a
// workspace would wait with it: so it comes when nothing has been removed for a while, once for all, and in a minute at
// the latest.
Task<void> ManagerImpl::sweep_soon() {
  const auto latest = std::chrono::steady_clock::now() + kLongestUnswept;
  for (;;) {
    const auto now = std::chrono::steady_clock::now();
    const auto due = std::min(last_removal_ + kQuietBeforeSweep, latest);
    if (now >= due) break;
    CO_TRY(co_await loop::sleep_for(due - now));
  }
  sweeping_ = false;
  co_return co_await table_.sweep();
}

Task<Info> ManagerImpl::start(std::string id) {
  auto operation = [this](EntryPtr entry) {
    if (!entry->machine) entry->record.restarts = 0;  // somebody's own start is none
    return do_start(std::move(entry));
  };
  return in_turn<Info>(std::move(id), "start", std::move(operation));
}

Task<Info> ManagerImpl::do_start(EntryPtr entry) {
  if (entry->running()) co_return info_of(*entry);
  if (entry->stands_still()) co_return co_await do_resume(entry);
  if (!model::may_change(entry->record.state, model::State::creating)) {
    co_return fail(Code::FailedPrecondition, cat("the workspace '", entry->record.id, "' is ",
                                                 model::state_name(entry->record.state), " and cannot be started"));
  }
  CO_TRY(co_await check_may_run(entry));
  ++entry->round;
  step(*entry, model::State::creating);
  CO_TRY(co_await save(entry));
  auto up = co_await bring_up(entry);
  if (up) {
    tell(entry, EventKind::started);
    co_return info_of(*entry);
  }
  (void)co_await let_go(entry);
  step(*entry, model::State::failed, cat("it could not be started: ", up.error().message));
  (void)co_await save(entry);
  tell(entry, EventKind::failed, entry->record.detail);
  co_return fail(std::move(up.error()));
}

Task<Info> ManagerImpl::stop(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_stop(std::move(entry)); };
  return in_turn<Info>(std::move(id), "stop", std::move(operation));
}

Task<Info> ManagerImpl::do_stop(EntryPtr entry) {
  if (!entry->record.disk_kept) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", entry->record.id, "' is temporary: stopped, its disk would be gone"),
                   "remove it, or create workspaces to be stopped with mode \"permanent\"");
  }
  if (entry->record.state == model::State::stopped) {
    ++entry->round;  // nor does its restart policy start it now
    co_return info_of(*entry);
  }
  CO_TRY(co_await take_down(entry));
  tell(entry, EventKind::stopped);
  const auto info = info_of(*entry);
  if (entry->record.spec.on_exit == model::OnExit::remove && !entry->record.held) {
    CO_TRY_ASSIGN(const auto removal, co_await do_remove(entry));
    (void)removal;
  }
  co_return info;
}

// To stopped, with nothing left of the machine.
Task<void> ManagerImpl::take_down(EntryPtr entry) {
  ++entry->round;
  if (entry->record.disk_kept) (void)co_await hear_kernel(entry);  // later nobody can tell
  // What it has not written yet is in its memory.
  if (entry->asleep()) CO_TRY(co_await rise_or_forget(entry));
  if (entry->machine && entry->stands_still()) CO_TRY(co_await stand_still_if_contained(entry));
  CO_TRY(check_free(*entry));  // from here on it ends
  end_run(*entry);
  if (entry->machine && entry->stands_still()) (void)co_await machines_.resume(entry->machine);
  step(*entry, model::State::stopping);
  CO_TRY(co_await save(entry));
  if (entry->machine) {
    auto down = co_await machines_.shut_down(entry->machine, kStopGrace);
    if (!down) {
      log_warn("a workspace did not shut down and is killed",
               {{"workspace", entry->record.id}, {"error", down.error().message}});
    }
    // Also after a clean end: nothing of the machine may be left.
    if (!down || entry->machine->alive()) {
      auto ended = co_await machines_.end(entry->machine);
      if (!ended) {
        step(*entry, model::State::failed, cat("it could not be stopped: ", ended.error().message));
        (void)co_await save(entry);
        tell(entry, EventKind::failed, entry->record.detail);
        co_return fail(std::move(ended.error()));
      }
    }
    entry->machine.reset();
  }
  CO_TRY(co_await let_go(entry));
  step(*entry, model::State::stopped);
  co_return co_await save(entry);
}

Task<Info> ManagerImpl::restart(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_restart(std::move(entry)); };
  return in_turn<Info>(std::move(id), "restart", std::move(operation));
}

Task<Info> ManagerImpl::do_restart(EntryPtr entry) {
  CO_TRY(co_await check_may_run(entry));  // before it is taken down
  if (!entry->record.disk_kept) CO_TRY(co_await keep_disk(entry));
  if (entry->machine || entry->asleep()) CO_TRY(co_await take_down(entry));
  entry->record.restarts = 0;
  co_return co_await do_start(entry);
}

Task<Removal> ManagerImpl::remove(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_remove(std::move(entry)); };
  return in_turn<Removal>(std::move(id), "remove", std::move(operation));
}

Task<Removal> ManagerImpl::do_remove(EntryPtr entry) {
  CO_TRY(check_not_held(entry->record));
  const auto began = steady_clock::now();
  ++entry->round;
  if (entry->record.state != model::State::removing) step(*entry, model::State::removing);
  // One without a disk of its own needs no note: without its machine the next start removes it anyway.
  if (entry->permanent() || entry->record.disk_kept) CO_TRY(co_await save(entry));
  // First of all the keys, and then nothing waits for anything: what is left opens nothing.
  end_run(*entry);
  CO_TRY(co_await destroy_keys(entry));
  CO_TRY(co_await both_at_once(give_blocks_back(entry), let_go(entry)));
  tell(entry, EventKind::removed);
  Removal removal;
  CO_TRY_ASSIGN(removal.receipt_id, co_await erase(entry));
  removal.id = entry->record.id;
  const auto since = [began](steady_clock::time_point then) {
    return std::chrono::duration_cast<std::chrono::microseconds>(then - began).count();
  };
  removal.keys_gone_us = since(entry->keys_gone_at.value_or(steady_clock::now()));
  removal.took_us = since(steady_clock::now());
  co_return removal;
}

Task<void> ManagerImpl::remove_unclaimed(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_remove(std::move(entry)); };
  auto removed = co_await with_place<Removal>(std::move(id), std::move(operation));
  if (!removed) co_return fail(std::move(removed.error()));
  co_return Status{};
}

Task<void> ManagerImpl::watch(EntryPtr entry, std::shared_ptr<vm::Machine> machine) {
  CO_TRY_ASSIGN(auto exit, co_await machine->wait_for_exit());
  // Among the operations, so that it runs to its end at a shutdown too.
  operations_.spawn("end of a virtual machine", note_end(std::move(entry), std::move(machine), std::move(exit)));
  co_return Status{};
}

Task<void> ManagerImpl::note_end(EntryPtr entry, std::shared_ptr<vm::Machine> machine, vm::MachineExit exit) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  // Somebody who stopped or removed it has seen to everything.
  if (entry->gone || entry->machine != machine) co_return Status{};
  std::string why = cat(reason_text(exit.reason), exit.detail.empty() ? "" : ": ", exit.detail);
  log_info("a workspace's machine has ended", {{"workspace", entry->record.id}, {"vm", machine->id()}, {"why", why}});
  const auto ran =
      entry->record.started_at
          ? std::chrono::duration_cast<std::chrono::milliseconds>(system_clock::now() - *entry->record.started_at)
          : 0ms;
  CO_TRY(co_await let_go(entry));
  Record& record = entry->record;
  const bool by_time = exit.reason == vm::ExitReason::ttl;
  const bool died = exit.reason == vm::ExitReason::vmm_died || exit.reason == vm::ExitReason::out_of_memory;
  if (by_time) tell(entry, EventKind::ttl_expired);

  Backoff backoff;
  backoff.first = options_.restarts.first;
  backoff.longest = options_.restarts.longest;
  backoff.forgotten_after = options_.restarts.forgotten_after;
  backoff.max_restarts = record.spec.max_restarts;
  std::optional<std::chrono::milliseconds> again;
  if (died && !contained(*entry) && record.disk_kept && record.spec.restart_policy != model::RestartPolicy::never) {
    record.restarts = backoff.in_a_row(record.restarts, ran);
    again = backoff.delay(record.restarts);
  }
  const bool held = record.held || contained(*entry);
  const bool stays =
      held || (record.disk_kept && record.spec.on_exit == model::OnExit::keep &&
               (entry->permanent() || (by_time && record.spec.at_end_of_ttl() == model::TtlAction::stop)));
  const bool unwanted = by_time && record.spec.at_end_of_ttl() == model::TtlAction::remove && !held;
  if (!again && (!stays || unwanted)) {
    step(*entry, model::State::removing, why);
    tell(entry, EventKind::removed, std::move(why));
    CO_TRY_ASSIGN(const auto receipt, co_await erase(entry));
    (void)receipt;
    co_return Status{};
  }
  if (model::may_change(record.state, model::State::stopped)) step(*entry, model::State::stopped, why);
  const auto round = ++entry->round;
  CO_TRY(co_await save(entry));
  tell(entry, by_time ? EventKind::stopped : EventKind::failed, std::move(why));
  if (again) watchers_.spawn("restart of a workspace", start_again(entry, round, *again));
  co_return Status{};
}

Task<void> ManagerImpl::start_again(EntryPtr entry, std::uint64_t round, std::chrono::milliseconds delay) {
  CO_TRY(co_await loop::sleep_for(delay));
  operations_.spawn("restart of a workspace", start_if_unchanged(std::move(entry), round));
  co_return Status{};
}

// Unless somebody started, stopped or removed it meanwhile.
Task<void> ManagerImpl::start_if_unchanged(EntryPtr entry, std::uint64_t round) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone || entry->round != round || closing_ || contained(*entry)) co_return Status{};
  ++entry->record.restarts;
  auto started = co_await do_start(entry);
  if (!started) {
    note(entry, LogSource::boot, cat("it is not started again: ", started.error().message));
    co_return fail(std::move(started.error()));
  }
  co_return Status{};
}

}  // namespace cofferdam::workspace

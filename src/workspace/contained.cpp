// What is contained: stopped at once, kept as it is, and touched by nobody else.
#include "base/text.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {

using model::State;

bool ManagerImpl::contained(const Entry& entry) const {
  return options_.contained && options_.contained(entry.record.id).has_value();
}

Status ManagerImpl::check_free(const Entry& entry) const {
  if (!options_.contained) return {};
  const auto because = options_.contained(entry.record.id);
  if (!because) return {};
  return fail(
      Code::FailedPrecondition,
      cat("the workspace '", entry.record.id, "' is contained", because->empty() ? "" : ": ", *because),
      cat("see `coffer incident ", entry.record.id, "`; `coffer release ", entry.record.id, " --why …` gives it back"));
}

Status ManagerImpl::check_free(const std::string& id) const {
  TRY_ASSIGN(const EntryPtr entry, find(id));
  return check_free(*entry);
}

// Not in turn: whoever is at work with it may take minutes, and asks check_free() before it lets go of what stands
// still now. One whose machine is only coming up is waited for, also when it comes from the disk: stopped in the middle
// of that, it would be lost.
Task<void> ManagerImpl::seize(std::string id) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  const bool has_come_up = entry->running() || (entry->stands_still() && !entry->rising);
  if (entry->machine && has_come_up) {
    co_return co_await run_owned<void>(operations_, "stop of a workspace's vCPUs", stop_vcpus(entry));
  }
  // Somebody may be about to give it a machine.
  if (!entry->machine && !entry->rising && entry->lane.busy() == 0) co_return Status{};
  auto stop = [this](EntryPtr late) { return stop_vcpus(std::move(late)); };
  co_return co_await in_turn<void>(std::move(id), "stop of a workspace's vCPUs", std::move(stop),
                                   Reaching::contained_too);
}

Task<void> ManagerImpl::stop_vcpus(EntryPtr entry) {
  const auto machine = entry->machine;
  if (!machine) co_return Status{};
  CO_TRY(co_await machines_.pause(machine));
  // Nor does its time end while its memory is kept; given back, it has its time anew.
  entry->record.expires_at.reset();
  co_return co_await machines_.set_ttl(machine, std::nullopt);
}

// For one that has come up from the disk: contained on the way, it stands still where it has come to, in a machine now.
Task<void> ManagerImpl::stand_still_if_contained(EntryPtr entry) {
  auto free = check_free(*entry);
  if (free) co_return Status{};
  const auto stopped = co_await machines_.pause(entry->machine);
  end_run(*entry);
  begin_watch(entry);
  CO_TRY(co_await save(entry));
  CO_TRY(stopped);
  co_return free;
}

Task<Snapshot> ManagerImpl::preserve(std::string id) {
  std::function<Task<Snapshot>(EntryPtr)> operation = [this](EntryPtr entry) -> Task<Snapshot> {
    // It stands still since it was seized, which its state does not say yet.
    if (entry->running()) {
      step(*entry, State::paused);
      tell(entry, EventKind::paused, "contained");
    }
    return do_snapshot(std::move(entry), AfterSnapshot::pause);
  };
  return in_turn<Snapshot>(std::move(id), "snapshot of what is contained", std::move(operation),
                           Reaching::contained_too);
}

Task<Info> ManagerImpl::keep_still(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_keep_still(std::move(entry)); };
  return in_turn<Info>(std::move(id), "containment", std::move(operation), Reaching::contained_too);
}

Task<Info> ManagerImpl::do_keep_still(EntryPtr entry) {
  ++entry->round;  // nothing that was planned for it is done
  if (!entry->machine && !entry->asleep()) co_return info_of(*entry);
  // Again: who had its turn before may have let it run on.
  if (entry->machine) CO_TRY(co_await machines_.pause(entry->machine));
  if (entry->record.state != State::paused) {
    step(*entry, State::paused);
    tell(entry, EventKind::paused, "contained");
  }
  if (entry->machine) CO_TRY(co_await machines_.set_ttl(entry->machine, std::nullopt));
  entry->record.expires_at.reset();
  entry->record.after_exec = AfterExec::keep;
  CO_TRY_ASSIGN(auto still, co_await save_change(entry));
  // The file of a former daemon's temporary disk is its machine's alone, and what is kept of it is in the snapshot.
  if (entry->volume) CO_TRY(co_await keep_disk(entry));
  co_return still;
}

}  // namespace cofferdam::workspace

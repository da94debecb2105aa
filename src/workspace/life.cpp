// Start, stop, removal, TTL, and what follows when a machine ends by itself.
#include "base/log.h"
#include "base/text.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::chrono::milliseconds kStopGrace = 5s;
constexpr std::chrono::milliseconds kMinTtl = 1s;
constexpr std::chrono::milliseconds kMaxTtl = std::chrono::hours(365 * 24);

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

// Nothing is left of the machine afterwards, or an error says so and the entry still names it.
Task<void> ManagerImpl::let_go(EntryPtr entry) {
  if (entry->machine) CO_TRY(co_await machines_.end(entry->machine));
  entry->machine.reset();
  entry->memory.release();
  entry->record.vm_id.clear();
  entry->record.expires_at.reset();
  co_return Status{};
}

Task<void> ManagerImpl::remove_folder(std::string id) {
  auto work = [this, folder = std::move(id)] { return table_.remove(folder); };
  co_return co_await workers_.run(std::move(work));
}

Task<void> ManagerImpl::forget(EntryPtr entry) {
  CO_TRY(co_await remove_folder(entry->record.id));
  entry->gone = true;
  entries_.erase(entry->record.id);
  co_return Status{};
}

Task<Info> ManagerImpl::start(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_start(std::move(entry)); };
  return in_turn<Info>(std::move(id), "start", std::move(operation));
}

Task<Info> ManagerImpl::do_start(EntryPtr entry) {
  if (entry->record.state == model::State::running) co_return info_of(*entry);
  if (!model::may_change(entry->record.state, model::State::creating)) {
    co_return fail(Code::FailedPrecondition, cat("the workspace '", entry->record.id, "' is ",
                                                 model::state_name(entry->record.state), " and cannot be started"));
  }
  step(*entry, model::State::creating);
  CO_TRY(co_await save(entry));
  auto up = co_await bring_up(entry);
  if (up) co_return info_of(*entry);
  (void)co_await let_go(entry);
  step(*entry, model::State::failed, cat("it could not be started: ", up.error().message));
  (void)co_await save(entry);
  co_return fail(std::move(up.error()));
}

Task<Info> ManagerImpl::stop(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_stop(std::move(entry)); };
  return in_turn<Info>(std::move(id), "stop", std::move(operation));
}

Task<Info> ManagerImpl::do_stop(EntryPtr entry) {
  if (!entry->permanent()) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", entry->record.id, "' is temporary: stopped, its disk would be gone"),
                   "remove it, or create workspaces to be stopped with mode \"permanent\"");
  }
  if (entry->record.state == model::State::stopped) co_return info_of(*entry);
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
        co_return fail(std::move(ended.error()));
      }
    }
    entry->machine.reset();
  }
  CO_TRY(co_await let_go(entry));
  step(*entry, model::State::stopped);
  CO_TRY(co_await save(entry));
  co_return info_of(*entry);
}

Task<Removal> ManagerImpl::remove(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_remove(std::move(entry)); };
  return in_turn<Removal>(std::move(id), "remove", std::move(operation));
}

Task<Removal> ManagerImpl::do_remove(EntryPtr entry) {
  const auto began = steady_clock::now();
  if (entry->record.state != model::State::removing) step(*entry, model::State::removing);
  // A temporary one needs no note: without its machine the next start removes it anyway.
  if (entry->permanent()) CO_TRY(co_await save(entry));
  CO_TRY(co_await let_go(entry));
  CO_TRY(co_await forget(entry));
  Removal removal;
  removal.id = entry->record.id;
  removal.took_us = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - began).count();
  co_return removal;
}

Task<void> ManagerImpl::remove_unclaimed(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_remove(std::move(entry)); };
  auto removed = co_await with_place<Removal>(std::move(id), std::move(operation));
  if (!removed) co_return fail(std::move(removed.error()));
  co_return Status{};
}

Task<Info> ManagerImpl::set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now,
                                std::optional<model::TtlAction> /*action*/) {
  auto operation = [this, from_now](EntryPtr entry) { return do_set_ttl(std::move(entry), from_now); };
  return in_turn<Info>(std::move(id), "set ttl", std::move(operation));
}

Task<Info> ManagerImpl::do_set_ttl(EntryPtr entry, std::optional<std::chrono::milliseconds> from_now) {
  if (!from_now && !entry->permanent()) {
    co_return fail(Code::InvalidArgument, "/ttl: a temporary workspace needs one");
  }
  if (from_now && (*from_now < kMinTtl || *from_now > kMaxTtl)) {
    co_return fail(Code::InvalidArgument, cat("/ttl: ", from_now->count(), " ms is outside one second to one year"));
  }
  Record& record = entry->record;
  if (entry->machine) {
    CO_TRY(co_await machines_.set_ttl(entry->machine, from_now));
    record.expires_at.reset();
    if (from_now) record.expires_at = system_clock::now() + *from_now;
  }
  record.spec.ttl = from_now;
  record.updated_at = system_clock::now();
  CO_TRY(co_await save(entry));
  co_return info_of(*entry);
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
  CO_TRY(co_await let_go(entry));
  if (!entry->permanent()) {
    step(*entry, model::State::removing, std::move(why));
    co_return co_await forget(entry);
  }
  if (model::may_change(entry->record.state, model::State::stopped)) {
    step(*entry, model::State::stopped, std::move(why));
  }
  co_return co_await save(entry);
}

}  // namespace cofferdam::workspace

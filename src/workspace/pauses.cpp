// Standing still and going on: by wish, and by time (idleness, the end of the time to live).
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using model::State;
using std::chrono::system_clock;

constexpr auto kAfterFailure = 10s;

enum class What { ttl, suspend, stop };
struct Due {
  What what = What::ttl;
  system_clock::time_point at;
};

// What happens next by time alone. The removal of a workspace whose time is over is the jail's, where there is one.
std::optional<Due> next_due(const Entry& entry) {
  std::optional<Due> next;
  const auto consider = [&](What what, system_clock::time_point at) {
    if (!next || at < next->at) next = Due{what, at};
  };
  const auto& spec = entry.record.spec;
  if (entry.record.expires_at && (entry.asleep() || spec.at_end_of_ttl() != model::TtlAction::remove)) {
    consider(What::ttl, *entry.record.expires_at);
  }
  if (!spec.idle || entry.in_use > 0) return next;
  const bool suspended = entry.record.state == State::suspended;
  if (spec.idle->suspend_after && entry.running()) {
    consider(What::suspend, entry.last_active_at + *spec.idle->suspend_after);
  }
  if (spec.idle->stop_after && (entry.running() || suspended)) {
    consider(What::stop, entry.last_active_at + *spec.idle->stop_after);
  }
  return next;
}

}  // namespace

void touch_entry(Entry& entry) { entry.last_active_at = system_clock::now(); }

void end_use(Entry& entry) {
  --entry.in_use;
  touch_entry(entry);
  if (entry.clock) entry.clock->notify();
}

namespace {

// Keeps a workspace from being idle as long as it is there.
class InUse {
 public:
  explicit InUse(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) { ++entry_->in_use; }
  ~InUse() { end_use(*entry_); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

  std::shared_ptr<vm::Machine> machine;

 private:
  std::shared_ptr<Entry> entry_;
};

}  // namespace

void ManagerImpl::touch(const std::string& id) {
  if (const auto entry = find(id)) touch_entry(**entry);
}

Task<Info> ManagerImpl::pause(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_pause(std::move(entry), State::paused); };
  return in_turn<Info>(std::move(id), "pause", std::move(operation));
}

Task<Info> ManagerImpl::suspend(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_suspend(std::move(entry)); };
  return in_turn<Info>(std::move(id), "suspend", std::move(operation));
}

Task<Info> ManagerImpl::do_pause(EntryPtr entry, State to) {
  if (entry->record.state == to) co_return info_of(*entry);
  if ((!entry->machine && !entry->asleep()) || !model::may_change(entry->record.state, to)) {
    co_return fail(Code::FailedPrecondition, cat("the workspace '", entry->record.id, "' is ",
                                                 model::state_name(entry->record.state), ", not running"));
  }
  // The state comes first: a guest that stands still must not be taken for one that hangs.
  const State before = entry->record.state;
  step(*entry, to);
  if (before == State::running) {
    auto paused = co_await machines_.pause(entry->machine);
    if (!paused) {
      step(*entry, before);
      co_return fail(std::move(paused.error()));
    }
  }
  CO_TRY(co_await save(entry));
  if (entry->clock) entry->clock->notify();
  tell(entry, to == State::paused ? EventKind::paused : EventKind::suspended);
  co_return info_of(*entry);
}

Task<Info> ManagerImpl::resume(std::string id) {
  auto operation = [this](EntryPtr entry) { return do_resume(std::move(entry)); };
  return in_turn<Info>(std::move(id), "resume", std::move(operation));
}

Task<Info> ManagerImpl::do_resume(EntryPtr entry) {
  if (entry->running()) co_return info_of(*entry);
  if (!entry->stands_still() || (!entry->machine && !entry->asleep())) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", entry->record.id, "' is ", model::state_name(entry->record.state),
                       ", neither paused nor suspended"));
  }
  CO_TRY(co_await check_may_run(entry));
  if (entry->asleep()) co_return co_await wake_from_disk(entry);
  CO_TRY(check_free(*entry));
  const bool was_paused = entry->record.state == State::paused;
  CO_TRY(co_await machines_.resume(entry->machine));
  if (auto free = check_free(*entry); !free) {  // contained in that moment: it does not go on
    CO_TRY(co_await machines_.pause(entry->machine));
    co_return fail(std::move(free.error()));
  }
  step(*entry, State::running);
  touch_entry(*entry);
  // One that was put to rest at the end of its time has its time again.
  if (!entry->record.expires_at && entry->record.spec.ttl) CO_TRY(co_await apply_ttl(entry));
  CO_TRY(co_await save(entry));
  if (entry->clock) entry->clock->notify();
  // What was opened while it stood still, it is told now.
  CO_TRY(co_await attach_network(entry));
  tell(entry, was_paused ? EventKind::resumed : EventKind::woken);
  workloads_.workspace_goes_on(entry->record.id);
  co_return info_of(*entry);
}

// Whoever came before may have woken it already, or stopped it.
Task<Info> ManagerImpl::do_wake(EntryPtr entry) {
  if (entry->record.state != State::suspended) co_return info_of(*entry);
  co_return co_await do_resume(entry);
}

Task<std::shared_ptr<vm::Machine>> ManagerImpl::wake_machine(std::string id) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  CO_TRY(check_free(*entry));
  const auto use = std::make_shared<InUse>(entry);  // or it might fall asleep again before it is used
  if (entry->record.state == State::suspended) {
    auto operation = [this](EntryPtr asleep) { return do_wake(std::move(asleep)); };
    CO_TRY_ASSIGN(const auto info, co_await in_turn<Info>(entry->record.id, "wake", std::move(operation)));
    (void)info;
  }
  CO_TRY_ASSIGN(use->machine, machine(entry->record.id));
  co_return std::shared_ptr<vm::Machine>(use, use->machine.get());
}

Task<void> ManagerImpl::keep_time(EntryPtr entry, std::shared_ptr<loop::Event> clock) {
  while (entry->clock == clock) {
    const auto due = contained(*entry) ? std::nullopt : next_due(*entry);
    if (!due) {
      CO_TRY(co_await clock->wait());
      continue;
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due->at - system_clock::now());
    if (left > 0ms) {
      (void)co_await loop::with_deadline(clock->wait(), left, "time of a workspace");
      continue;
    }
    if (closing_) co_return Status{};
    auto done = co_await run_owned<void>(operations_, "end of a workspace's time", on_due(entry, clock));
    if (done) continue;
    log_error("what was due could not be done", {{"workspace", entry->record.id}, {"error", done.error().message}});
    CO_TRY(co_await loop::sleep_for(kAfterFailure));
  }
  co_return Status{};
}

Task<void> ManagerImpl::on_due(EntryPtr entry, std::shared_ptr<loop::Event> clock) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone || entry->clock != clock || contained(*entry)) co_return Status{};
  const auto due = next_due(*entry);
  if (!due || due->at > system_clock::now()) co_return Status{};  // somebody was quicker
  State to = State::stopped;
  if (due->what == What::suspend) to = State::suspended;
  if (due->what == What::ttl) {
    tell(entry, EventKind::ttl_expired);
    const auto action = entry->record.spec.at_end_of_ttl();
    if (action == model::TtlAction::remove) {
      CO_TRY_ASSIGN(const auto removal, co_await do_remove(entry));
      (void)removal;
      co_return Status{};
    }
    if (action == model::TtlAction::pause) to = State::paused;
    if (action == model::TtlAction::suspend) to = State::suspended;
  }
  if (to == State::stopped) {
    CO_TRY_ASSIGN(const auto stopped, co_await do_stop(entry));
    (void)stopped;
    co_return Status{};
  }
  if (due->what == What::ttl) {
    // The jail's end of the time would come soon, and for good.
    if (entry->machine) CO_TRY(co_await machines_.set_ttl(entry->machine, std::nullopt));
    entry->record.expires_at.reset();
  }
  if (entry->record.state == to || !model::may_change(entry->record.state, to)) co_return co_await save(entry);
  if (to == State::suspended) {
    auto asleep = co_await do_suspend(entry);
    if (asleep) co_return Status{};
    if (entry->gone || !entry->running()) co_return fail(std::move(asleep.error()));
    // It rests all the same, in the host's memory.
    log_warn("the memory of a workspace that is to sleep could not be written",
             {{"workspace", entry->record.id}, {"error", asleep.error().message}});
  }
  CO_TRY_ASSIGN(const auto resting, co_await do_pause(entry, to));
  (void)resting;
  co_return Status{};
}

}  // namespace cofferdam::workspace

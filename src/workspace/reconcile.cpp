// The first and the last thing a daemon does: take over or clear away what a former one left, and leave in order.
#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "workspace/manager_impl.h"
#include "workspace/parallel.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

constexpr std::size_t kAtOnce = 8;
constexpr auto kSettleLimit = 15s;
constexpr auto kLastCallsLimit = 5s;

bool expired(const Record& record) { return record.expires_at && *record.expires_at <= system_clock::now(); }

// Whether it rests at the end of its time: then the end is still to be seen to, as long as the machine lives.
bool rests_at_the_end(const Record& record) {
  const auto action = record.spec.at_end_of_ttl();
  return action == model::TtlAction::pause || action == model::TtlAction::suspend;
}

// Its time is over when the daemon's clock of it has run out, which also knows what is to be done then: but for a
// removal, which nobody would miss.
bool stays_asleep(const Entry& entry, bool seized) {
  const Record& record = entry.record;
  if (seized || record.held) return true;
  const bool client_is_gone = !entry.permanent() && record.after_exec == AfterExec::remove;
  return !client_is_gone && !(expired(record) && record.spec.at_end_of_ttl() == model::TtlAction::remove);
}

}  // namespace

// Machines of a former daemon that nobody has spoken for yet.
struct ManagerImpl::Orphans {
  std::set<std::string> ids;
};

Task<void> ManagerImpl::reconcile() {
  auto sweep = [this] { return volumes_.remove_leftovers(); };
  CO_TRY(co_await workers_.run(std::move(sweep)));
  CO_TRY_ASSIGN(auto stored, co_await table_.load());
  auto workloads = co_await workloads_.load();
  if (!workloads) log_error("workloads cannot be read", {{"error", workloads.error().message}});
  auto orphans = std::make_shared<Orphans>();
  CO_TRY_ASSIGN(const auto ids, co_await machines_.orphans());
  orphans->ids.insert(ids.begin(), ids.end());

  std::function<Task<void>(StoredRecord)> take_over = [this, orphans](StoredRecord record) {
    return reconcile_one(orphans, std::move(record));
  };
  CO_TRY(co_await for_each_at_once(std::move(stored), kAtOnce, std::move(take_over)));
  std::function<Task<void>(std::string)> clear = [this](std::string id) { return remove_orphan(std::move(id)); };
  std::vector<std::string> unwanted(orphans->ids.begin(), orphans->ids.end());
  co_return co_await for_each_at_once(std::move(unwanted), kAtOnce, std::move(clear));
}

// What is wrong with one workspace must not keep the daemon from serving the others: errors are logged, not answered.
Task<void> ManagerImpl::reconcile_one(std::shared_ptr<Orphans> orphans, StoredRecord stored) {
  if (!stored.record) {
    const auto has_disk = co_await has_disk_of(stored.id);
    if (is_id(stored.id, "ws") && (!has_disk || *has_disk)) {
      keep_unreadable(stored.id, stored.record.error());
    } else {
      (void)co_await clear_leftover(stored.id, stored.record.error().message);
    }
    co_return Status{};
  }
  auto entry = std::make_shared<Entry>(executor_, std::move(*stored.record));
  Record& record = entry->record;
  const bool lives = orphans->ids.erase(record.vm_id) > 0;
  const bool stood_still = entry->stands_still();
  const bool was_up = entry->running() || stood_still || record.state == model::State::stopping;
  const bool removed = record.state == model::State::removing;
  const bool never_ran = record.state == model::State::creating && !record.started_at;
  const bool client_is_gone = !entry->permanent() && record.after_exec == AfterExec::remove && !record.held;
  const bool seized = contained(*entry);
  const bool wanted = was_up && !client_is_gone && (!expired(record) || rests_at_the_end(record));

  if (entry->asleep() && stood_still && stays_asleep(*entry, seized)) {
    // A machine that is still there stands still since its memory was written.
    if (lives) (void)co_await remove_orphan(record.vm_id);
    record.vm_id.clear();
    if (seized) record.state = model::State::paused;
    entries_.emplace(record.id, entry);
    (void)co_await read_sealed(entry);
    begin_watch(entry);
    co_return Status{};
  }
  record.asleep.clear();
  if (lives && (wanted || seized)) {
    const auto as = stood_still || seized ? vm::Adopted::standing_still : vm::Adopted::running;
    auto machine = co_await machines_.adopt(record.vm_id, as);
    if (machine) {
      entry->machine = std::move(*machine);
      entry->memory = budget_.adopt(record.spec.memory_mib);
      entries_.emplace(record.id, entry);
      log_info("a running workspace was taken over", {{"workspace", record.id}, {"vm", record.vm_id}});
      (void)co_await read_sealed(entry);
      if (seized) record.state = model::State::paused;
      if (record.state == model::State::stopping) co_return co_await finish_stop(entry);
      if (auto attached = co_await attach_network(entry); !attached) {
        log_error("a workspace that was taken over has no network",
                  {{"workspace", record.id}, {"error", attached.error().message}});
      }
      sort_left(entry);
      begin_run(entry);
      if (entry->record.disk_kept) entry->heard_vm = record.vm_id;  // it may be in the journal already
      note(entry, LogSource::boot, "taken over by a new daemon");
      co_return Status{};
    }
    log_warn("a running workspace could not be taken over",
             {{"workspace", record.id}, {"vm", record.vm_id}, {"error", machine.error().message}});
  }
  if (lives) (void)co_await remove_orphan(record.vm_id);
  const bool stays =
      entry->permanent() || record.held || seized || (record.disk_kept && record.state == model::State::stopped);
  const bool unwanted = was_up && !record.held && !seized &&
                        (record.spec.on_exit == model::OnExit::remove ||
                         (expired(record) && record.spec.at_end_of_ttl() == model::TtlAction::remove));
  if (!stays || removed || never_ran || unwanted) {
    log_info("what is left of a workspace is removed", {{"workspace", record.id}, {"why", "its machine is gone"}});
    entry->last_vm_id = record.vm_id;
    CO_TRY_ASSIGN(const auto receipt, co_await erase(entry));
    (void)receipt;
    co_return Status{};
  }
  const bool was_over = expired(record);
  if (was_up || record.state == model::State::creating) {
    record.state = model::State::stopped;
    record.detail = expired(record) ? "its time to live was over while the daemon was down"
                                    : "its virtual machine ended while the daemon was down";
    record.updated_at = system_clock::now();
  }
  record.vm_id.clear();
  record.expires_at.reset();
  entries_.emplace(record.id, entry);
  (void)co_await read_sealed(entry);
  CO_TRY(co_await save(entry));
  if (!was_up) co_return Status{};
  tell(entry, EventKind::stopped, record.detail);
  if (record.spec.restart_policy == model::RestartPolicy::always && !was_over && !seized) {
    operations_.spawn("restart of a workspace", start_if_unchanged(entry, entry->round));
  }
  co_return Status{};
}

// What cannot be opened is missed, and said.
Task<void> ManagerImpl::read_sealed(EntryPtr entry) {
  auto opened = co_await unseal(entry);
  if (opened && entry->record.disk_kept) opened = co_await remove_strange_disks(entry);
  if (opened && entry->record.disk_kept) opened = co_await remove_strange_sleeps(entry);
  if (opened) opened = co_await load_snapshots(entry);
  if (opened) opened = co_await load_archives(entry);
  if (opened) opened = co_await load_journal(entry);
  if (!opened) {
    log_error("what a workspace has under its key cannot be opened",
              {{"workspace", entry->record.id}, {"error", opened.error().message}});
  }
  co_return Status{};
}

Task<void> ManagerImpl::finish_stop(EntryPtr entry) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  entry->record.state = model::State::running;  // the step to `stopping` is taken again
  auto stopped = co_await do_stop(entry);
  if (!stopped) co_return fail(std::move(stopped.error()));
  co_return Status{};
}

// A person's disk is not thrown away because a file beside it is damaged.
void ManagerImpl::keep_unreadable(const std::string& id, const Error& error) {
  log_error("a workspace's record cannot be read; its disk is kept", {{"workspace", id}, {"error", error.message}});
  Record record;
  record.id = id;
  record.spec.mode = model::Mode::permanent;
  record.state = model::State::failed;
  record.detail = cat("its record cannot be read: ", error.message);
  record.created_at = record.updated_at = system_clock::now();
  record.hostname = id;
  auto entry = std::make_shared<Entry>(executor_, std::move(record));
  entries_.emplace(id, std::move(entry));
}

Task<bool> ManagerImpl::has_disk_of(std::string id) {
  auto look = [folder = table_.folder(id)]() -> Result<bool> {
    if (!path_exists(folder)) return false;
    TRY_ASSIGN(const auto names, list_directory(folder));
    return std::any_of(names.begin(), names.end(),
                       [](const auto& name) { return name == kPlainDisk || starts_with(name, "disk-"); });
  };
  co_return co_await workers_.run(std::move(look));
}

Task<void> ManagerImpl::clear_leftover(std::string id, std::string why) {
  log_info("what is left of a workspace is removed", {{"workspace", id}, {"why", std::move(why)}});
  workloads_.workspace_is_gone(id);
  auto files = [this, id]() -> Result<keys::ErasureFacts> {
    TRY_ASSIGN(auto erasure, erase_keys_of(id));
    return erase_files(id, std::move(erasure));
  };
  CO_TRY_ASSIGN(const auto erased, co_await workers_.run(std::move(files)));
  (void)erased;
  CO_TRY(co_await table_.remove(id, store::Durability::power_loss));
  if (options_.network.forget) options_.network.forget(id);
  co_return Status{};
}

Task<void> ManagerImpl::remove_orphan(std::string vm_id) {
  log_info("a machine of a former daemon is removed", {{"vm", vm_id}});
  auto removed = co_await machines_.remove_orphan(vm_id);
  if (!removed) log_error("an old machine could not be removed", {{"vm", vm_id}, {"error", removed.error().message}});
  co_return removed;
}

void ManagerImpl::start_pools() { pool_.start(options_.default_image); }

Task<void> ManagerImpl::shut_down(Permanent permanent) {
  closing_ = true;
  // What is under way has deadlines of its own; what ends later than this is left to the next start.
  auto settled = co_await loop::with_deadline(operations_.join(), kSettleLimit, "end of running operations");
  if (!settled) log_warn("shutdown goes on without some operations", {{"error", settled.error().message}});
  watchers_.cancel();
  CO_TRY(co_await watchers_.join());
  CO_TRY(co_await workloads_.shut_down());

  std::vector<EntryPtr> all;
  all.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) all.push_back(entry);
  std::function<Task<void>(EntryPtr)> end = [this, permanent](EntryPtr entry) {
    return end_at_shut_down(std::move(entry), permanent);
  };
  CO_TRY(co_await for_each_at_once(std::move(all), kAtOnce, std::move(end)));
  CO_TRY(co_await pool_.shut_down());
  // The last lines of logs, and what else the ends above began.
  (void)co_await loop::with_deadline(operations_.join(), kLastCallsLimit, "end of the last operations");
  operations_.cancel();
  CO_TRY(co_await operations_.join());
  CO_TRY(co_await machines_.finish(kLastCallsLimit));
  entries_.clear();
  co_return Status{};
}

Task<void> ManagerImpl::end_at_shut_down(EntryPtr entry, Permanent permanent) {
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(5s));
  if (entry->gone || contained(*entry)) co_return Status{};
  if (!entry->permanent() && !entry->record.held) {
    auto removed = co_await do_remove(entry);
    if (!removed) {
      log_error("a workspace could not be removed",
                {{"workspace", entry->record.id}, {"error", removed.error().message}});
    }
    co_return Status{};
  }
  if ((permanent == Permanent::stop || !entry->permanent()) && entry->machine) {
    auto stopped = co_await do_stop(entry);
    if (!stopped) {
      log_error("a workspace could not be stopped",
                {{"workspace", entry->record.id}, {"error", stopped.error().message}});
    }
  }
  co_return Status{};
}

}  // namespace cofferdam::workspace

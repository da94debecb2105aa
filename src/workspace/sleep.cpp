// Suspended: the memory lies on disk, sealed under a key of its own, and the host has neither machine nor memory of the
// workspace any more. Its disk is the one it has: nothing was left to write when the machine ended, and nobody writes
// before it goes on.
#include <fcntl.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "disk/volume_file.h"
#include "workspace/folders.h"
#include "workspace/key_names.h"
#include "workspace/manager_impl.h"
#include "workspace/snapshot_files.h"

namespace cofferdam::workspace {
namespace {

using namespace std::chrono_literals;
using model::State;
using std::chrono::milliseconds;
using std::chrono::system_clock;

constexpr std::string_view kFolder = "asleep-";
constexpr std::string_view kUnfinished = ".tmp";
constexpr milliseconds kLeastTime = 1s;

// What is left for the jail to end the machine after; nullopt: no end.
std::optional<milliseconds> time_left(const Record& record) {
  if (!record.expires_at || record.held) return std::nullopt;
  const auto left = std::chrono::ceil<milliseconds>(*record.expires_at - system_clock::now());
  const bool removed = record.spec.at_end_of_ttl() == model::TtlAction::remove;
  return std::max(left, kLeastTime) + (removed ? 0ms : kGentleEnd);
}

// Its vCPUs may run although its state does not say so yet.
class OnItsWayUp {
 public:
  explicit OnItsWayUp(Entry& entry) : entry_(entry) { entry_.rising = true; }
  ~OnItsWayUp() { entry_.rising = false; }
  OnItsWayUp(const OnItsWayUp&) = delete;
  OnItsWayUp& operator=(const OnItsWayUp&) = delete;

 private:
  Entry& entry_;
};

}  // namespace

std::string ManagerImpl::sleep_folder(const std::string& workspace_id, const std::string& sleep_id) const {
  return cat(table_.folder(workspace_id), "/", kFolder, sleep_id);
}

Task<Info> ManagerImpl::do_suspend(EntryPtr entry) {
  Record& record = entry->record;
  if (record.state == State::suspended && entry->asleep()) co_return info_of(*entry);
  if (record.state == State::paused && entry->asleep()) co_return co_await do_pause(entry, State::suspended);
  if (!entry->machine || (!entry->running() && !entry->stands_still())) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", record.id, "' is ", model::state_name(record.state), ", not running"));
  }
  if (auto can = co_await check_can_sleep(entry); !can) {
    note(entry, LogSource::boot, cat("it keeps its memory in the host's: ", can.error().message));
    co_return co_await do_pause(entry, State::suspended);
  }
  if (!record.disk_kept) CO_TRY(co_await keep_disk(entry));
  (void)co_await hear_kernel(entry);  // later nobody can tell
  // The state comes first: a guest that stands still must not be taken for one that hangs.
  const State before = record.state;
  if (before != State::suspended) step(*entry, State::suspended);
  const std::string sleep_id = new_id("sleep");
  auto asleep = co_await fall_asleep(entry, sleep_id);
  if (!asleep) {
    (void)co_await clear_sleep(record.id, sleep_id);
    record.asleep.clear();
    if (before == State::running && !contained(*entry)) (void)co_await machines_.resume(entry->machine);
    if (record.state != before) step(*entry, before);
    co_return fail(std::move(asleep.error()).in("suspend"));
  }
  const auto expires_at = record.expires_at;
  CO_TRY(co_await let_go(entry));
  record.expires_at = expires_at;
  CO_TRY(co_await save(entry));
  begin_watch(entry);
  tell(entry, EventKind::suspended);
  co_return info_of(*entry);
}

// What could not go on later stands still instead.
Task<void> ManagerImpl::check_can_sleep(EntryPtr entry) {
  const Record& record = entry->record;
  if (!record.disk_kept && !entry->volume) {
    co_return fail(Code::FailedPrecondition, "its disk has no name, and would be gone with its machine");
  }
  auto look = [this, name = record.spec.image] { return find_image_(name); };
  CO_TRY_ASSIGN(const auto image, co_await workers_.run(std::move(look)));
  co_return check_build(record.build, driver_.build_of(image, record.spec.shape()));
}

// The guest stands still afterwards, and also after an error. Written beside where it will be; it counts once the
// record names it.
Task<void> ManagerImpl::fall_asleep(EntryPtr entry, std::string sleep_id) {
  vm::SaveWish wish;
  wish.after = vm::AfterSave::stand_still;
  CO_TRY_ASSIGN(auto saved, co_await machines_.save(entry->machine, std::move(wish)));
  auto write = [this, id = entry->record.id, sleep_id, saved = std::move(saved)]() mutable -> Status {
    const auto folder = sleep_folder(id, sleep_id);
    const auto unfinished = cat(folder, kUnfinished);
    const auto key = keys::make_key(keys::kDiskKeyBytes);
    // Found again as long as there may be a key for it.
    TRY(make_lasting_folder(unfinished));
    TRY(write_saved(unfinished, sleep_id, saved, key));
    TRY(sync_folder(unfinished));
    TRY(keys_.keep(sleep_key_name(id, sleep_id), key));
    if (::rename(unfinished.c_str(), folder.c_str()) != 0) return fail_errno(cat("rename to '", folder, "'"));
    return sync_folder(table_.folder(id));
  };
  CO_TRY(co_await workers_.run(std::move(write)));
  entry->record.asleep = sleep_id;
  co_return co_await save(entry);
}

// Key and files, as far as they are there.
Task<void> ManagerImpl::clear_sleep(std::string workspace_id, std::string sleep_id) {
  auto clear = [this, name = sleep_key_name(workspace_id, sleep_id),
                folder = sleep_folder(workspace_id, sleep_id)]() -> Status {
    const std::array<keys::KeyName, 1> names{name};
    TRY(keys_.erase(names));
    for (const auto& path : {folder, cat(folder, kUnfinished)}) {
      for (const char* part : {"/memory", "/state"}) {
        const auto file = open_file(path + part, O_RDWR | O_NOFOLLOW);
        if (file) TRY(disk::discard_file(file->get()));
      }
      if (path_exists(path)) TRY(remove_for_good(path));
    }
    return {};
  };
  co_return co_await workers_.run(std::move(clear));
}

// What a daemon left that died while it wrote one, or after it was used.
Task<void> ManagerImpl::remove_strange_sleeps(EntryPtr entry) {
  auto look = [this, id = entry->record.id]() -> Result<std::vector<std::string>> {
    std::vector<std::string> found;
    TRY_ASSIGN(const auto keys, keys_.list(id));
    for (const auto& key : keys) {
      if (starts_with(key.name.name, kSleepKey)) found.push_back(key.name.name.substr(kSleepKey.size()));
    }
    if (!path_exists(table_.folder(id))) return found;
    TRY_ASSIGN(const auto names, list_directory(table_.folder(id)));
    for (const auto& name : names) {
      if (starts_with(name, kFolder)) found.push_back(name.substr(kFolder.size(), name.find('.') - kFolder.size()));
    }
    return found;
  };
  CO_TRY_ASSIGN(const auto all, co_await workers_.run(std::move(look)));
  for (const auto& sleep_id : all) {
    if (sleep_id == entry->record.asleep || !is_id(sleep_id, "sleep")) continue;
    log_info("the memory of a suspended workspace that is of no use is removed", {{"workspace", entry->record.id}});
    CO_TRY(co_await clear_sleep(entry->record.id, sleep_id));
  }
  co_return Status{};
}

// On standby. Nothing was touched when it fails.
Task<Prepared> ManagerImpl::load_asleep(EntryPtr entry) {
  auto look = [this, name = entry->record.spec.image] { return find_image_(name); };
  CO_TRY_ASSIGN(auto image, co_await workers_.run(std::move(look)));
  const auto shape = entry->record.spec.shape();
  auto load = [this, record = entry->record,
               build = driver_.build_of(image, shape)]() -> Result<std::shared_ptr<const vm::Saved>> {
    TRY(check_build(record.build, build));
    TRY_ASSIGN(const auto key, keys_.get(sleep_key_name(record.id, record.asleep)));
    SnapshotManifest manifest;
    manifest.id = record.asleep;
    manifest.record = record;
    return read_saved(sleep_folder(record.id, record.asleep), manifest, key);
  };
  MachineWish wish;
  auto saved = co_await workers_.run(std::move(load));
  if (!saved) {
    auto error = std::move(saved.error()).in(cat("the memory of the suspended workspace '", entry->record.id, "'"));
    error.hint =
        cat("`coffer stop ", entry->record.id, "` and then `coffer start` give up its memory and keep its disk");
    co_return fail(std::move(error));
  }
  wish.saved = std::move(*saved);
  wish.image = std::move(image);
  wish.image.config = entry->record.image_config;
  wish.shape = shape;
  wish.cpu_millis = entry->record.spec.cpu_millis;
  wish.io = entry->record.spec.io;
  wish.disk_mib = entry->record.spec.disk_mib;
  CO_TRY_ASSIGN(auto volume, co_await open_disk(entry));
  co_return co_await cold_start(entry, std::move(wish), std::move(volume));
}

Task<void> ManagerImpl::rise(EntryPtr entry) {
  Record& record = entry->record;
  const Pool::Hold hold(pool_);
  const OnItsWayUp until_it_is_up(*entry);
  CO_TRY_ASSIGN(auto prepared, co_await load_asleep(entry));
  if (auto free = check_free(*entry); !free) {  // contained meanwhile: what was saved stays what is kept of it
    (void)co_await machines_.end(prepared.machine);
    co_return fail(std::move(free.error()));
  }
  // From here on the disk changes, and what was saved does not go with it any more: a daemon that finds this record
  // starts from the disk alone.
  const std::string sleep_id = std::exchange(record.asleep, {});
  record.vm_id = prepared.machine->id();
  if (auto written = co_await save(entry); !written) {
    (void)co_await machines_.end(prepared.machine);
    record.vm_id.clear();
    record.asleep = sleep_id;
    co_return fail(std::move(written.error()));
  }
  const auto expires_at = record.expires_at;
  entry->machine = std::move(prepared.machine);
  entry->memory = std::move(prepared.memory);
  auto up = co_await machines_.wake(entry->machine, record.hostname);
  if (up) {
    vm::Claim claim{record.hostname, time_left(record), vm::Lease::own};
    up = co_await machines_.claim(entry->machine, std::move(claim));
  }
  (void)co_await clear_sleep(record.id, sleep_id);
  if (up) {
    entry->heard_vm = record.vm_id;  // its kernel is the one that was heard
    co_return Status{};
  }
  (void)co_await let_go(entry);
  record.expires_at = expires_at;
  co_return fail(std::move(up.error()));
}

Task<void> ManagerImpl::rise_or_forget(EntryPtr entry) {
  auto up = co_await rise(entry);
  if (up) co_return Status{};
  if (contained(*entry)) co_return up;  // nothing of it is given up
  log_warn("the memory of a suspended workspace is given up",
           {{"workspace", entry->record.id}, {"error", up.error().message}});
  note(entry, LogSource::boot, cat("its memory is given up: ", up.error().message));
  const std::string sleep_id = std::exchange(entry->record.asleep, {});
  if (sleep_id.empty()) co_return Status{};
  CO_TRY(co_await save(entry));
  co_return co_await clear_sleep(entry->record.id, sleep_id);
}

Task<Info> ManagerImpl::wake_from_disk(EntryPtr entry) {
  Record& record = entry->record;
  const bool was_paused = record.state == State::paused;
  end_run(*entry);
  auto up = co_await rise(entry);
  if (up) {
    ++entry->round;
    CO_TRY(co_await stand_still_if_contained(entry));
    step(*entry, State::running);  // whoever is asked for its network looks at that
    up = co_await attach_network(entry);
  }
  if (!up) {
    if (entry->asleep()) {  // as before
      begin_watch(entry);
      co_return fail(std::move(up.error()));
    }
    (void)co_await let_go(entry);
    step(*entry, State::stopping);
    step(*entry, State::failed, cat("it did not wake: ", up.error().message));
    (void)co_await save(entry);
    tell(entry, EventKind::failed, record.detail);
    co_return fail(std::move(up.error()));
  }
  touch_entry(*entry);
  begin_watch(entry);
  sort_left(entry);
  // One that was put to rest at the end of its time has its time again.
  if (!record.expires_at && record.spec.ttl) CO_TRY(co_await apply_ttl(entry));
  CO_TRY(co_await save(entry));
  tell(entry, was_paused ? EventKind::resumed : EventKind::woken);
  workloads_.workspace_goes_on(record.id);
  co_return info_of(*entry);
}

// No machine is needed: memory and devices are sealed anew, and the disk is copied.
Task<Snapshot> ManagerImpl::snapshot_asleep(EntryPtr entry, Snapshot snapshot) {
  SnapshotManifest manifest;
  manifest.id = snapshot.id;
  manifest.record = entry->record;
  manifest.record.sealed_env.clear();
  manifest.record.asleep.clear();
  auto copy = [this, snapshot, record = entry->record,
               manifest = std::move(manifest)]() mutable -> Result<std::uint64_t> {
    const auto folder = snapshot_folder(snapshot);
    const auto unfinished = cat(folder, kUnfinished);
    const auto snapshots = cat(table_.folder(record.id), "/snapshots");
    TRY(make_lasting_folder(snapshots));
    TRY(make_lasting_folder(unfinished));
    TRY_ASSIGN(auto key, keys_.get(disk_key_name(record)));
    TRY_ASSIGN(const auto own,
               disk::Volume::open_to_read(table_.disk_path(record.id, record.disk_key_id), std::move(key),
                                          {record.spec.disk_mib * model::kMiB, record.disk_header}));
    TRY_ASSIGN(const auto source, disk::VolumeStore::open_source(own));
    TRY_ASSIGN(auto target, volumes_.make_from(source, snapshot.disk_mib));
    TRY(target.persist(snapshot_disk_path(unfinished)));
    manifest.disk = target.facts();
    TRY_ASSIGN(const auto asleep_key, keys_.get(sleep_key_name(record.id, record.asleep)));
    TRY(copy_saved(sleep_folder(record.id, record.asleep), record.asleep, asleep_key, unfinished, snapshot.id,
                   target.key()));
    TRY_ASSIGN(const auto bytes, finish_snapshot(unfinished, manifest, target.key()));
    TRY(keys_.keep(snapshot_key_name(snapshot), target.key()));
    if (::rename(unfinished.c_str(), folder.c_str()) != 0) return fail_errno(cat("rename to '", folder, "'"));
    TRY(sync_folder(snapshots));
    return bytes;
  };
  CO_TRY_ASSIGN(snapshot.bytes, co_await workers_.run(std::move(copy)));
  CO_TRY(co_await snapshot_table_.add(snapshot));
  co_return snapshot;
}

}  // namespace cofferdam::workspace

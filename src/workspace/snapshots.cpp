// Snapshots: taken, gone back to, and grown into workspaces of their own.
#include "workspace/snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "disk/luks.h"
#include "disk/volume_file.h"
#include "workspace/environment.h"
#include "workspace/folders.h"
#include "workspace/key_names.h"
#include "workspace/loaded_snapshot.h"
#include "workspace/manager_impl.h"
#include "workspace/parallel.h"
#include "workspace/snapshot_files.h"

namespace cofferdam::workspace {
namespace {

using model::State;
using std::chrono::system_clock;

constexpr std::string_view kUnfinished = ".tmp";
constexpr std::size_t kForksAtOnce = 4;
constexpr std::size_t kPartsAtOnce = 3;

std::string snapshots_folder(const std::string& workspace_folder) { return workspace_folder + "/snapshots"; }

}  // namespace

// Those that are made of one snapshot, by one request.
struct ManagerImpl::Forks {
  std::shared_ptr<Loaded> loaded;
  ForkWish wish;
  std::vector<std::optional<Info>> made;
  std::optional<Error> failed;
};

std::string ManagerImpl::snapshot_folder(const Snapshot& snapshot) const {
  return cat(snapshots_folder(table_.folder(snapshot.workspace_id)), "/", snapshot.id);
}

Result<Snapshot> ManagerImpl::find_snapshot(const Entry& entry, const std::string& id) {
  const auto& all = entry.snapshots;
  if (id.empty() && !all.empty()) return all.back();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Snapshot& one) { return one.id == id; });
  if (found != all.end()) return *found;
  return fail(Code::NotFound,
              id.empty() ? cat("the workspace '", entry.record.id, "' has no snapshot")
                         : cat("the workspace '", entry.record.id, "' has no snapshot '", id, "'"),
              "list them with `coffer snapshot ls`");
}

Result<std::vector<Snapshot>> ManagerImpl::snapshots(const std::string& id) const {
  TRY_ASSIGN(const auto entry, find(id));
  return entry->snapshots;
}

Task<Snapshot> ManagerImpl::snapshot(std::string id, AfterSnapshot after) {
  auto operation = [this, after](EntryPtr entry) { return do_snapshot(std::move(entry), after); };
  return in_turn<Snapshot>(std::move(id), "snapshot", std::move(operation));
}

Task<Snapshot> ManagerImpl::do_snapshot(EntryPtr entry, AfterSnapshot after) {
  Record& record = entry->record;
  if ((!entry->machine && !entry->asleep()) || (!entry->running() && !entry->stands_still())) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", record.id, "' is ", model::state_name(record.state),
                       "; only one that runs has a memory"),
                   "start it first");
  }
  // Of what is contained one is taken however many there are: none of them could be removed.
  if (entry->snapshots.size() >= kMaxSnapshots && !contained(*entry)) {
    co_return fail(Code::ResourceExhausted,
                   cat("the workspace has ", kMaxSnapshots, " snapshots, the most that are kept"),
                   "remove some with `coffer snapshot rm`");
  }
  if (after == AfterSnapshot::resume && !entry->running()) CO_TRY(co_await check_may_run(entry));
  if (after == AfterSnapshot::stop && !record.disk_kept) CO_TRY(co_await keep_disk(entry));
  CO_TRY(co_await save(entry));  // a folder without a row is taken for somebody's lost disk

  Snapshot snapshot;
  snapshot.id = new_id("snap");
  snapshot.workspace_id = record.id;
  snapshot.created_at = system_clock::now();
  snapshot.shape = record.spec.shape();
  snapshot.disk_mib = record.spec.disk_mib;
  snapshot.image = record.spec.image;
  // A guest that stands still by a wish says so before: it must not be taken for one that hangs.
  const State before = record.state;
  const bool runs_on = after == AfterSnapshot::resume && before == State::running;
  if (!runs_on && before == State::running) step(*entry, State::paused);
  const auto then = runs_on ? vm::AfterSave::run_on : vm::AfterSave::stand_still;
  auto taken = co_await (entry->asleep() ? snapshot_asleep(entry, snapshot) : take_snapshot(entry, snapshot, then));
  if (!taken) {
    (void)co_await clear_snapshot(snapshot);
    if (record.state != before) {
      if (before == State::running && !contained(*entry)) (void)co_await machines_.resume(entry->machine);
      step(*entry, before);
    }
    co_return fail(std::move(taken.error()));
  }
  entry->snapshots.push_back(*taken);
  tell(entry, EventKind::snapshot_taken, taken->id);
  if (after == AfterSnapshot::resume && before != State::running) {
    CO_TRY_ASSIGN(const auto going, co_await do_resume(entry));
    (void)going;
  } else if (after == AfterSnapshot::stop) {
    CO_TRY_ASSIGN(const auto stopped, co_await do_stop(entry));
    (void)stopped;
  } else if (!runs_on) {
    CO_TRY(co_await save(entry));
    if (entry->clock) entry->clock->notify();
  }
  co_return *taken;
}

// Written beside where it will be, and there only when it is whole.
Task<Snapshot> ManagerImpl::take_snapshot(EntryPtr entry, Snapshot snapshot, vm::AfterSave after) {
  struct Prepared {
    vm::SaveWish wish;
    disk::VolumeFacts facts;
    keys::Key key;
  };
  const auto folder = snapshot_folder(snapshot);
  const auto unfinished = cat(folder, kUnfinished);
  auto prepare = [this, unfinished, snapshot]() -> Result<Prepared> {
    TRY(table_.make_folder(snapshot.workspace_id));
    TRY(make_lasting_folder(snapshots_folder(table_.folder(snapshot.workspace_id))));
    // Found again as long as there may be a key for it.
    TRY(make_lasting_folder(unfinished));
    Prepared prepared;
    prepared.key = keys::make_key(keys::kDiskKeyBytes);
    TRY_ASSIGN(auto target, volumes_.make_target(snapshot_disk_path(unfinished), snapshot.disk_mib, prepared.key));
    prepared.facts = target.facts;
    prepared.wish.disk = std::move(target.file);
    prepared.wish.disk_passphrase = disk::passphrase_of(prepared.key.bytes);
    return prepared;
  };
  CO_TRY_ASSIGN(auto prepared, co_await workers_.run(std::move(prepare)));
  prepared.wish.after = after;
  CO_TRY_ASSIGN(auto saved, co_await machines_.save(entry->machine, std::move(prepared.wish)));
  snapshot.pause = saved.pause;

  SnapshotManifest manifest;
  manifest.id = snapshot.id;
  manifest.record = entry->record;
  manifest.record.sealed_env.clear();
  manifest.disk = prepared.facts;
  auto write = [this, folder, unfinished, snapshot, manifest = std::move(manifest), saved = std::move(saved),
                key = std::move(prepared.key)]() mutable -> Result<std::uint64_t> {
    TRY_ASSIGN(const auto bytes, write_snapshot(unfinished, manifest, saved, key));
    TRY(keys_.keep(snapshot_key_name(snapshot), key));
    if (::rename(unfinished.c_str(), folder.c_str()) != 0) return fail_errno(cat("rename to '", folder, "'"));
    TRY(sync_folder(snapshots_folder(table_.folder(snapshot.workspace_id))));
    return bytes;
  };
  CO_TRY_ASSIGN(snapshot.bytes, co_await workers_.run(std::move(write)));
  CO_TRY(co_await snapshot_table_.add(snapshot));
  co_return snapshot;
}

// Row, key and files, as far as they are there. Without the row the next start finishes what is left.
Task<void> ManagerImpl::clear_snapshot(Snapshot snapshot) {
  CO_TRY(co_await snapshot_table_.remove(snapshot.workspace_id, snapshot.id));
  auto clear = [this, snapshot, folder = snapshot_folder(snapshot)]() -> Result<keys::Erasure> {
    const std::array<keys::KeyName, 1> names{snapshot_key_name(snapshot)};
    TRY_ASSIGN(auto erased, keys_.erase(names));
    for (const auto& path : {folder, cat(folder, kUnfinished)}) {
      const auto file = open_file(snapshot_disk_path(path), O_RDWR | O_NOFOLLOW);
      if (file) TRY(disk::discard_file(file->get()));
      TRY(remove_tree(path));
    }
    return erased;
  };
  CO_TRY_ASSIGN(const auto erased, co_await workers_.run(std::move(clear)));
  note_erasure(snapshot.workspace_id, "a snapshot", erased);
  co_return Status{};
}

Task<void> ManagerImpl::remove_snapshot(std::string id, std::string snapshot_id) {
  auto operation = [this, snapshot_id](EntryPtr entry) { return do_remove_snapshot(std::move(entry), snapshot_id); };
  return in_turn<void>(std::move(id), "removal of a snapshot", std::move(operation));
}

Task<void> ManagerImpl::do_remove_snapshot(EntryPtr entry, std::string snapshot_id) {
  CO_TRY(check_not_held(entry->record));
  if (snapshot_id.empty()) co_return fail(Code::InvalidArgument, "/snapshot: is missing");
  CO_TRY(co_await drop_snapshot(entry, snapshot_id));
  tell(entry, EventKind::snapshot_removed, std::move(snapshot_id));
  co_return Status{};
}

Task<void> ManagerImpl::drop_snapshot(EntryPtr entry, std::string snapshot_id) {
  CO_TRY_ASSIGN(const auto snapshot, find_snapshot(*entry, snapshot_id));
  CO_TRY(co_await clear_snapshot(snapshot));
  std::erase_if(entry->snapshots, [&](const Snapshot& one) { return one.id == snapshot.id; });
  co_return Status{};
}

// At the daemon's start: rows without files are told of and removed, files without a row were never a snapshot.
Task<void> ManagerImpl::load_snapshots(EntryPtr entry) {
  CO_TRY_ASSIGN(auto rows, co_await snapshot_table_.list(entry->record.id));
  auto look = [folder = snapshots_folder(table_.folder(entry->record.id))]() -> Result<std::vector<std::string>> {
    if (!path_exists(folder)) return std::vector<std::string>{};
    return list_directory(folder);
  };
  CO_TRY_ASSIGN(const auto names, co_await workers_.run(std::move(look)));
  for (const auto& name : names) {
    if (std::any_of(rows.begin(), rows.end(), [&](const Snapshot& row) { return row.id == name; })) continue;
    Snapshot leftover;
    leftover.id = name.substr(0, name.find('.'));
    leftover.workspace_id = entry->record.id;
    if (!is_id(leftover.id, "snap")) continue;
    if (std::any_of(rows.begin(), rows.end(), [&](const Snapshot& row) { return row.id == leftover.id; })) continue;
    log_info("a snapshot that was never finished is removed", {{"snapshot", leftover.id}});
    CO_TRY(co_await clear_snapshot(leftover));
  }
  for (auto& row : rows) {
    if (std::find(names.begin(), names.end(), row.id) == names.end()) {
      log_error("the files of a snapshot are gone", {{"workspace", row.workspace_id}, {"snapshot", row.id}});
      CO_TRY(co_await clear_snapshot(row));
    } else {
      entry->snapshots.push_back(std::move(row));
    }
  }
  co_return Status{};
}

// All that `count` machines go on from.
Task<std::shared_ptr<ManagerImpl::Loaded>> ManagerImpl::load_snapshot(Snapshot snapshot, std::uint32_t count) {
  auto get = [this, name = snapshot_key_name(snapshot)] { return keys_.get(name); };
  CO_TRY_ASSIGN(auto key, co_await workers_.run(std::move(get)));
  co_return co_await load_files(snapshot_folder(snapshot), snapshot.id, std::move(key), count);
}

// Its memory and their disks are read at the same time: each is for one core.
Task<std::shared_ptr<ManagerImpl::Loaded>> ManagerImpl::load_files(std::string folder, std::string id, keys::Key key,
                                                                   std::uint32_t count) {
  auto loaded = std::make_shared<Loaded>();
  loaded->folder = std::move(folder);
  loaded->key = std::move(key);
  auto look = [this, loaded, id]() -> Result<image::Image> {
    TRY_ASSIGN(loaded->manifest, read_manifest(loaded->folder, id, loaded->key));
    return find_image_(loaded->manifest.record.spec.image);
  };
  CO_TRY_ASSIGN(const auto image, co_await workers_.run(std::move(look)));
  // Before the large files: they would be of no use.
  const auto& record = loaded->manifest.record;
  CO_TRY(check_build(record.build, driver_.build_of(image, record.spec.shape())));
  auto open = [loaded]() -> Status {
    keys::Key disk_key{loaded->key.id, loaded->key.bytes.clone()};
    TRY_ASSIGN(const auto disk, disk::Volume::open_to_read(snapshot_disk_path(loaded->folder), std::move(disk_key),
                                                           loaded->manifest.disk));
    TRY_ASSIGN(loaded->disk, disk::VolumeStore::open_source(disk));
    return {};
  };
  CO_TRY(co_await workers_.run(std::move(open)));
  std::vector<LoadedPart> parts{LoadedPart::memory};
  parts.insert(parts.end(), count, LoadedPart::disk);
  std::function<Task<void>(LoadedPart)> read = [this, loaded](LoadedPart part) { return load_part(loaded, part); };
  CO_TRY(co_await for_each_at_once(std::move(parts), kPartsAtOnce, std::move(read)));
  if (loaded->failed) co_return fail(std::move(*loaded->failed));
  co_return loaded;
}

Task<void> ManagerImpl::load_part(std::shared_ptr<Loaded> loaded, LoadedPart part) {
  if (loaded->failed) co_return Status{};
  Status done;
  if (part == LoadedPart::memory) {
    auto read = [loaded] { return read_saved(loaded->folder, loaded->manifest, loaded->key); };
    auto saved = co_await workers_.run(std::move(read));
    if (saved) loaded->saved = std::move(*saved);
    if (!saved) done = fail(std::move(saved.error()));
  } else {
    auto copy = [this, loaded] { return volumes_.make_from(*loaded->disk, loaded->manifest.record.spec.disk_mib); };
    auto disk = co_await workers_.run(std::move(copy));
    if (disk) loaded->disks.push_back(std::move(*disk));
    if (!disk) done = fail(std::move(disk.error()));
  }
  if (!done && !loaded->failed) loaded->failed = std::move(done.error());
  co_return Status{};
}

// A machine that has gone on from there, on a disk and under a name of its own.
Task<Prepared> ManagerImpl::grow_from(std::shared_ptr<Loaded> loaded, std::string hostname) {
  const auto& record = loaded->manifest.record;
  MachineWish wish;
  wish.image.name = record.spec.image;
  auto look = [this, name = record.spec.image] { return find_image_(name); };
  CO_TRY_ASSIGN(wish.image, co_await workers_.run(std::move(look)));
  wish.image.config = record.image_config;
  wish.shape = record.spec.shape();
  wish.cpu_millis = record.spec.cpu_millis;
  wish.io = record.spec.io;
  wish.disk_mib = record.spec.disk_mib;
  wish.stage = vm::Stage::standby;
  wish.urgency = vm::Urgency::awaited;
  wish.saved = loaded->saved;
  if (loaded->disks.empty()) co_return fail(Code::Internal, "more machines than disks go on from a snapshot");
  auto volume = std::move(loaded->disks.back());
  loaded->disks.pop_back();
  CO_TRY_ASSIGN(auto memory, co_await reserve_memory(wish.shape.memory_mib));
  CO_TRY_ASSIGN(auto prepared, co_await machines_.make_on(std::move(volume), std::move(wish), std::move(memory)));
  auto woken = co_await machines_.wake(prepared.machine, std::move(hostname));
  if (!woken) {
    (void)co_await machines_.end(prepared.machine);
    co_return fail(std::move(woken.error()));
  }
  co_return prepared;
}

Task<Info> ManagerImpl::restore(std::string id, std::string snapshot_id) {
  auto operation = [this, snapshot_id](EntryPtr entry) { return do_restore(std::move(entry), snapshot_id); };
  return in_turn<Info>(std::move(id), "restore", std::move(operation));
}

// The machine that runs is touched only when its successor does.
Task<Info> ManagerImpl::do_restore(EntryPtr entry, std::string snapshot_id) {
  Record& record = entry->record;
  if (!entry->machine && !entry->asleep() && record.state != State::stopped && record.state != State::failed) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", record.id, "' is ", model::state_name(record.state)));
  }
  CO_TRY_ASSIGN(const auto snapshot, find_snapshot(*entry, snapshot_id));
  if (!entry->running()) CO_TRY(co_await check_may_run(entry));
  CO_TRY_ASSIGN(const auto loaded, co_await load_snapshot(snapshot, 1));
  const Pool::Hold hold(pool_);
  CO_TRY_ASSIGN(auto prepared, co_await grow_from(loaded, record.hostname));
  ++entry->round;
  const bool kept = record.disk_kept;
  Status gone = check_free(*entry);  // contained meanwhile, it keeps the machine that it has
  if (gone) gone = co_await let_go(entry);
  if (!gone) {
    (void)co_await machines_.end(prepared.machine);
    co_return fail(std::move(gone.error()));
  }
  if (record.state != State::running) {
    if (entry->stands_still()) step(*entry, State::running);
    if (!entry->running()) step(*entry, State::creating);
  }
  const std::string slept = std::exchange(record.asleep, {});
  const Record old = record;
  auto old_seal_key = entry->seal_key.clone();
  const auto& saved = loaded->manifest.record;
  record.spec.cpu_millis = saved.spec.cpu_millis;
  record.spec.memory_mib = saved.spec.memory_mib;
  record.spec.disk_mib = saved.spec.disk_mib;
  record.image_config = saved.image_config;
  record.build = saved.build;
  auto up = co_await run_on(entry, std::move(prepared));
  if (!slept.empty()) (void)co_await clear_sleep(record.id, slept);
  if (!up) {
    (void)co_await let_go(entry);
    if (kept) {
      // Its own disk is still there; the other one goes.
      if (record.disk_key_id != old.disk_key_id) (void)co_await remove_old_disk(record);
      const State state = record.state;
      record = old;
      record.state = state;
      entry->seal_key = std::move(old_seal_key);
    }
    if (entry->running()) step(*entry, State::stopping);
    step(*entry, State::failed, cat("it could not be restored: ", up.error().message));
    (void)co_await save(entry);
    tell(entry, EventKind::failed, record.detail);
    co_return fail(std::move(up.error()));
  }
  if (kept) CO_TRY(co_await remove_old_disk(old));
  CO_TRY(co_await rewrite_journal(entry));
  tell(entry, EventKind::restored, snapshot.id);
  co_return info_of(*entry);
}

// Makes a machine that runs the workspace's.
Task<void> ManagerImpl::run_on(EntryPtr entry, Prepared prepared) {
  Record& record = entry->record;
  entry->machine = prepared.machine;
  entry->memory = std::move(prepared.memory);
  record.vm_id = entry->machine->id();
  take_disk(*entry, std::move(prepared.volume));
  if (record.disk_kept) {
    CO_TRY(co_await name_disk(entry));  // it counts once the record names it
  } else if (record.spec.keeps_disk()) {
    CO_TRY(co_await keep_disk(entry));
  }
  CO_TRY(co_await hand_over(entry));
  CO_TRY(co_await attach_network(entry));
  record.started_at = system_clock::now();
  record.expires_at.reset();
  if (record.spec.ttl && !record.held) record.expires_at = *record.started_at + *record.spec.ttl;
  if (record.state != State::running) step(*entry, State::running);
  CO_TRY(co_await save(entry));
  begin_run(entry);
  co_return Status{};
}

Task<std::vector<Info>> ManagerImpl::fork(std::string id, ForkWish wish) {
  if (wish.count == 0 || wish.count > kMaxForks) {
    co_return fail(Code::InvalidArgument, cat("/count: ", wish.count, " is outside 1 to ", kMaxForks));
  }
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  auto forked = fork_from(std::move(id), std::move(wish));
  co_return co_await run_owned<std::vector<Info>>(operations_, "forks", std::move(forked));
}

Task<std::vector<Info>> ManagerImpl::fork_from(std::string id, ForkWish wish) {
  auto prepare = [this, wish](EntryPtr entry) { return prepare_fork(std::move(entry), wish); };
  CO_TRY_ASSIGN(const auto loaded, co_await with_place<std::shared_ptr<Loaded>>(id, std::move(prepare)));
  auto all = co_await fork_all(loaded, wish);
  // Nobody asked for one that was taken on the way to be kept, a hold or not.
  if (wish.snapshot.empty()) {
    auto drop = [this, taken = loaded->manifest.id](EntryPtr entry) { return drop_snapshot(std::move(entry), taken); };
    (void)co_await with_place<void>(std::move(id), std::move(drop));
  }
  co_return all;
}

// Some at a time: each waits for the host's disk, its VMM and its guest in turn.
Task<std::vector<Info>> ManagerImpl::fork_all(std::shared_ptr<Loaded> loaded, ForkWish wish) {
  auto forks = std::make_shared<Forks>();
  forks->loaded = std::move(loaded);
  forks->wish = wish;
  forks->made.resize(wish.count);
  std::vector<std::uint32_t> numbers(wish.count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  std::function<Task<void>(std::uint32_t)> make = [this, forks](std::uint32_t number) {
    return fork_number(forks, number);
  };
  CO_TRY(co_await for_each_at_once(std::move(numbers), kForksAtOnce, std::move(make)));
  std::vector<Info> all;
  for (auto& one : forks->made) {
    if (one) all.push_back(std::move(*one));
  }
  if (!forks->failed) co_return all;
  // All or none.
  for (const auto& one : all) (void)co_await remove(one.id);
  co_return fail(std::move(*forks->failed));
}

Task<void> ManagerImpl::fork_number(std::shared_ptr<Forks> forks, std::uint32_t number) {
  if (forks->failed) co_return Status{};
  const auto& wish = forks->wish;
  auto name = wish.name.empty() || wish.count == 1 ? wish.name : cat(wish.name, "-", number + 1);
  auto one = co_await fork_one(forks->loaded, std::move(name));
  if (one) {
    forks->made[number] = std::move(*one);
  } else if (!forks->failed) {
    forks->failed = std::move(one.error());
  }
  co_return Status{};
}

Task<std::shared_ptr<ManagerImpl::Loaded>> ManagerImpl::prepare_fork(EntryPtr entry, ForkWish wish) {
  if (!entry->record.spec.secrets.empty() && wish.secrets == ForkWish::Secrets::refuse) {
    co_return fail(Code::FailedPrecondition,
                   cat("the workspace '", entry->record.id, "' holds secrets, and each fork would hold them too"),
                   "ask for it with `--with-secrets`, if that is wanted");
  }
  if (!wish.snapshot.empty()) {
    CO_TRY_ASSIGN(const auto snapshot, find_snapshot(*entry, wish.snapshot));
    co_return co_await load_snapshot(snapshot, wish.count);
  }
  const auto before = entry->record.state;
  CO_TRY_ASSIGN(const auto snapshot,
                co_await do_snapshot(entry, before == State::running ? AfterSnapshot::resume : AfterSnapshot::pause));
  auto loaded = co_await load_snapshot(snapshot, wish.count);
  if (!loaded) (void)co_await drop_snapshot(entry, snapshot.id);
  co_return loaded;
}

Task<Info> ManagerImpl::fork_one(std::shared_ptr<Loaded> loaded, std::string name) {
  auto spec = loaded->manifest.record.spec;
  spec.name = std::move(name);
  spec.slug.clear();
  co_return co_await sprout(std::move(loaded), std::move(spec), Isolation::as_its_source);
}

// A workspace of its own that goes on from there.
Task<Info> ManagerImpl::sprout(std::shared_ptr<Loaded> loaded, model::WorkspaceSpec spec, Isolation isolation) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  CO_TRY(check_new(spec));
  Record record;
  record.id = new_id("ws");
  record.spec = std::move(spec);
  record.created_at = record.updated_at = system_clock::now();
  record.hostname = hostname_for(record.spec.name, record.id);
  record.image_digest = loaded->manifest.record.image_digest;
  record.image_config = loaded->manifest.record.image_config;
  record.build = loaded->manifest.record.build;
  record.fixed_disk = loaded->manifest.record.fixed_disk;
  record.isolated = isolation == Isolation::complete || loaded->manifest.record.isolated;
  auto entry = std::make_shared<Entry>(executor_, std::move(record));
  CO_TRY_ASSIGN(auto place, co_await entry->lane.enter(kTurnLimit));
  const auto in_use = usage_of(entry->record.spec.namespace_id);
  entries_.emplace(entry->record.id, entry);
  co_return co_await run_owned<Info>(operations_, "fork", do_fork(entry, std::move(place), in_use, std::move(loaded)));
}

Task<Info> ManagerImpl::do_fork(EntryPtr entry, Lane::Place /*place*/, identity::Totals in_use,
                                std::shared_ptr<Loaded> loaded) {
  const auto spec = entry->record.spec;
  Status up;
  if (options_.admit) {
    up = co_await options_.admit(spec.namespace_id, in_use, {1, spec.cpu_millis, spec.memory_mib, spec.disk_mib});
  }
  if (up) {
    const Pool::Hold hold(pool_);
    auto prepared = co_await grow_from(std::move(loaded), entry->record.hostname);
    if (!prepared) {
      up = fail(std::move(prepared.error()));
    } else {
      up = co_await run_on(entry, std::move(*prepared));
    }
  }
  if (up) {
    tell(entry, EventKind::created);
    co_return info_of(*entry);
  }
  (void)co_await let_go(entry);
  (void)co_await erase(entry);
  co_return fail(std::move(up.error()));
}

}  // namespace cofferdam::workspace

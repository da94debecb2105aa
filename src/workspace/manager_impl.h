// The Manager's parts: manager.cpp (questions, exec), create.cpp, life.cpp (start, stop, remove, death), pauses.cpp
// (pause, resume, what is due with time), sleep.cpp (suspended, with its memory on disk), changes.cpp (all else that
// can be changed), disks.cpp (its disk and key), plain_disk.cpp (one from before
// disks were encrypted), snapshots.cpp, archives.cpp, erasure.cpp (its end, holds),
// contained.cpp (what is contained), notes.cpp (logs and events), workload_host.cpp (for workloads), reconcile.cpp
// (start and end of the daemon).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "disk/volume_store.h"
#include "loop/task_group.h"
#include "workspace/archive_table.h"
#include "workspace/entry.h"
#include "workspace/exec_record.h"
#include "workspace/machines.h"
#include "workspace/manager.h"
#include "workspace/owned.h"
#include "workspace/pool.h"
#include "workspace/snapshot_table.h"
#include "workspace/supervisor.h"

namespace cofferdam::workspace {

class ManagerImpl : public Manager {
 public:
  ManagerImpl(loop::asio::any_io_executor executor, loop::WorkerPool& workers, FindImage find_image,
              vm::MachineDriver& driver, keys::KeyStore& keys, keys::ReceiptBook& receipts, ManagerOptions options,
              disk::VolumeStore volumes, WorkspaceTable table, store::Database& database);

  Task<void> reconcile() override;
  void start_pools() override;
  Task<void> shut_down(Permanent permanent) override;
  Task<Info> create(model::WorkspaceSpec spec, std::string idempotency_key) override;
  [[nodiscard]] std::vector<Info> list() const override;
  [[nodiscard]] Result<Info> get(const std::string& id) const override;
  [[nodiscard]] Result<Owner> owner(const std::string& id) const override;
  Task<Info> start(std::string id) override;
  Task<Info> stop(std::string id) override;
  Task<Info> restart(std::string id) override;
  Task<Info> pause(std::string id) override;
  Task<Info> suspend(std::string id) override;
  Task<Info> resume(std::string id) override;
  Task<Removal> remove(std::string id) override;
  Task<void> seize(std::string id) override;
  Task<Snapshot> preserve(std::string id) override;
  Task<Info> keep_still(std::string id) override;
  [[nodiscard]] Status check_free(const std::string& id) const override;
  Task<Info> hold(std::string id, std::string reason) override;
  Task<Info> unhold(std::string id) override;
  Task<Snapshot> snapshot(std::string id, AfterSnapshot after) override;
  [[nodiscard]] Result<std::vector<Snapshot>> snapshots(const std::string& id) const override;
  Task<void> remove_snapshot(std::string id, std::string snapshot_id) override;
  Task<Info> restore(std::string id, std::string snapshot_id) override;
  Task<std::vector<Info>> fork(std::string id, ForkWish wish) override;
  Task<SealedSnapshot> sealed_snapshot(std::string id, std::string snapshot_id) override;
  Task<Info> scratch(std::string id, std::string snapshot_id, ScratchWish wish) override;
  Task<Info> scratch_from(BroughtSnapshot brought, ScratchWish wish) override;
  Task<std::string> console(std::string id) override;
  Task<Archive> add_archive(std::string id, ArchiveWish wish, ArchiveBytes bytes) override;
  [[nodiscard]] Result<std::vector<Archive>> archives(const std::string& id) const override;
  Task<ArchiveBytes> read_archive(std::string id, std::string version) override;
  Task<void> remove_archive(std::string id, std::string version) override;
  Task<Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now,
                     std::optional<model::TtlAction> action) override;
  Task<Info> update(std::string id, Change change) override;
  Task<Info> set_metadata(std::string id, model::Metadata values, MetadataChange how) override;
  Task<Info> make_permanent(std::string id, std::optional<model::RestartPolicy> restart_policy) override;
  Task<Info> make_temporary(std::string id, std::optional<std::chrono::milliseconds> ttl,
                            std::optional<model::TtlAction> action, std::optional<model::OnExit> on_exit) override;
  Task<Info> set_idle(std::string id, std::optional<model::IdlePolicy> policy) override;
  Task<Info> ping(std::string id, std::optional<std::chrono::milliseconds> ttl) override;
  Task<Resized> resize(std::string id, Resources resources, Apply apply) override;
  Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const override;
  Task<std::shared_ptr<vm::Machine>> wake_machine(std::string id) override;
  void touch(const std::string& id) override;
  Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec, AfterExec after,
                                               KeepOutput keep_output) override;
  std::vector<vm::LeftProcess> take_left(const std::string& id) override;
  Task<std::vector<LogLine>> logs(std::string id, LogSource source, std::size_t tail) override;
  Task<void> clear_logs(std::string id) override;
  Result<std::shared_ptr<Feed<LogLine>>> follow_logs(const std::string& id, LogSource source) override;
  [[nodiscard]] identity::Totals usage_of(const std::string& namespace_id) const override;
  void on_event(OnEvent callback) override;
  Workloads& workloads() override { return workloads_; }
  [[nodiscard]] HostInfo host_info() const override;

 private:
  using EntryPtr = std::shared_ptr<Entry>;
  struct Orphans;
  struct Loaded;
  enum class Isolation { as_its_source, complete };

  // Every one of these that takes an entry is called with a place in its lane.
  Task<Info> do_create(EntryPtr entry, Lane::Place place, identity::Totals in_use);
  Task<Info> do_start(EntryPtr entry);
  Task<Info> do_stop(EntryPtr entry);
  Task<Removal> do_remove(EntryPtr entry);
  WorkloadHost workload_host();
  Task<std::unique_ptr<vm::GuestProcess>> start_workload(std::string id, model::ExecSpec spec);
  Task<void> end_with_workload(EntryPtr entry, std::uint64_t round, VmOnExit what, std::string why);
  Task<void> end_unless_still(EntryPtr entry, std::shared_ptr<vm::Machine> machine);
  Task<void> take_down(EntryPtr entry);
  Task<Info> do_restart(EntryPtr entry);
  Task<void> start_again(EntryPtr entry, std::uint64_t round, std::chrono::milliseconds delay);
  Task<void> start_if_unchanged(EntryPtr entry, std::uint64_t round);
  Task<Info> do_pause(EntryPtr entry, model::State to);
  Task<Info> do_resume(EntryPtr entry);
  Task<Info> do_wake(EntryPtr entry);
  Task<Info> do_suspend(EntryPtr entry);
  Task<void> check_may_run(EntryPtr entry);
  Task<void> check_can_sleep(EntryPtr entry);
  Task<void> stand_still_if_contained(EntryPtr entry);
  Task<void> fall_asleep(EntryPtr entry, std::string sleep_id);
  Task<Info> wake_from_disk(EntryPtr entry);
  // Its machine runs on from what was on disk. After an error it is as asleep as before, or has no machine and no
  // memory any more.
  Task<void> rise(EntryPtr entry);
  Task<void> rise_or_forget(EntryPtr entry);
  Task<Prepared> load_asleep(EntryPtr entry);
  Task<void> clear_sleep(std::string workspace_id, std::string sleep_id);
  Task<void> remove_strange_sleeps(EntryPtr entry);
  Task<Snapshot> snapshot_asleep(EntryPtr entry, Snapshot snapshot);
  [[nodiscard]] std::string sleep_folder(const std::string& workspace_id, const std::string& sleep_id) const;
  Task<void> keep_time(EntryPtr entry, std::shared_ptr<loop::Event> clock);
  Task<void> on_due(EntryPtr entry, std::shared_ptr<loop::Event> clock);
  void begin_run(const EntryPtr& entry);  // watches and keeps the time of a machine that runs
  void begin_watch(const EntryPtr& entry);
  static void end_run(Entry& entry);
  Task<Info> do_set_ttl(EntryPtr entry, std::optional<std::chrono::milliseconds> from_now,
                        std::optional<model::TtlAction> action);
  // From now on, as the record's spec says.
  Task<void> apply_ttl(EntryPtr entry);
  Task<Info> end_hold(EntryPtr entry);
  Task<Info> do_update(EntryPtr entry, Change change);
  Task<Info> do_set_metadata(EntryPtr entry, model::Metadata values, MetadataChange how);
  Task<Info> do_make_permanent(EntryPtr entry, std::optional<model::RestartPolicy> restart_policy);
  Task<Info> do_make_temporary(EntryPtr entry, model::WorkspaceSpec spec);
  Task<Info> do_set_idle(EntryPtr entry, std::optional<model::IdlePolicy> policy);
  Task<Info> do_ping(EntryPtr entry, std::optional<std::chrono::milliseconds> ttl);
  Task<Resized> do_resize(EntryPtr entry, Resources resources, Apply apply);
  Task<void> apply_pending(EntryPtr entry);
  // Gives the disk a name, so that it outlives its machine.
  Task<void> keep_disk(EntryPtr entry);
  Task<void> name_disk(EntryPtr entry);
  Task<void> remove_old_disk(Record old);
  Task<void> remove_strange_disks(EntryPtr entry);
  // Gives one with a plain disk an encrypted one with the same content. See has_plain_disk().
  Task<void> encrypt_disk(EntryPtr entry);
  [[nodiscard]] Result<disk::Volume> copy_plain_disk(const std::string& id, std::uint32_t mib) const;
  Task<void> remove_plain_disk(EntryPtr entry);
  // A kept disk, for a machine.
  Task<disk::Volume> open_disk(EntryPtr entry);
  // Makes a fresh one the workspace's.
  static void take_disk(Entry& entry, disk::Volume volume);
  // What the record and the log's files hold under the workspace's key.
  Task<void> unseal(EntryPtr entry);
  Task<Info> save_change(EntryPtr entry);
  Task<std::vector<std::string>> environment_of(EntryPtr entry);
  Task<std::unique_ptr<vm::GuestProcess>> begin_exec(std::string id, model::ExecSpec spec, AfterExec after,
                                                     KeepOutput keep_output, ExecRecord& record);
  // It counts as use of the workspace as long as it is there.
  std::unique_ptr<vm::GuestProcess> in_use(const EntryPtr& entry, std::unique_ptr<vm::GuestProcess> process,
                                           KeepOutput keep_output);
  void sort_left(const EntryPtr& entry);
  static ExecRecord::Sleeps sleeps_of(const EntryPtr& entry);
  ledger::Recorder& recorder() { return options_.recorder == nullptr ? nothing_ : *options_.recorder; }
  Task<void> remove_unclaimed(std::string id);
  Task<void> bring_up(EntryPtr entry);
  Task<void> hand_over(EntryPtr entry);
  Task<void> attach_network(EntryPtr entry);
  Task<void> watch(EntryPtr entry, std::shared_ptr<vm::Machine> machine);
  Task<void> note_end(EntryPtr entry, std::shared_ptr<vm::Machine> machine, vm::MachineExit exit);
  // The end of it, and of every trace on the host; answers the receipt's id. Its machine has ended.
  Task<std::string> erase(EntryPtr entry);
  void note_erasure(const std::string& workspace_id, const char* purpose, const keys::Erasure& erasure);
  // Nothing opens what is left of it afterwards: its VMM has ended, and no key is anywhere.
  Task<void> destroy_keys(EntryPtr entry);
  Task<void> end_vmm(EntryPtr entry);
  Task<void> erase_keys(EntryPtr entry);
  Task<void> give_blocks_back(EntryPtr entry);
  Result<keys::Erasure> erase_keys_of(const std::string& id);
  Result<keys::ErasureFacts> erase_files(const std::string& id, keys::Erasure erasure);
  Task<Info> do_hold(EntryPtr entry, std::string reason);
  Task<Snapshot> do_snapshot(EntryPtr entry, AfterSnapshot after);
  Task<Snapshot> take_snapshot(EntryPtr entry, Snapshot snapshot, vm::AfterSave after);
  struct NewArchive;
  [[nodiscard]] std::string archive_path(const Archive& archive) const;
  Task<Archive> do_add_archive(std::shared_ptr<NewArchive> made, ArchiveBytes bytes);
  Task<Archive> write_archive(std::shared_ptr<NewArchive> made, ArchiveBytes bytes);
  Task<Archive> finish_archive(EntryPtr entry, std::shared_ptr<NewArchive> made);
  Task<std::string> read_block(std::function<Result<std::optional<std::string_view>>()> next);
  Task<void> clear_archive(Archive archive);
  Task<void> do_remove_archive(EntryPtr entry, std::string version);
  Task<void> load_archives(EntryPtr entry);
  Task<void> clear_snapshot(Snapshot snapshot);
  Task<void> drop_snapshot(EntryPtr entry, std::string snapshot_id);
  Task<void> do_remove_snapshot(EntryPtr entry, std::string snapshot_id);
  Task<void> load_snapshots(EntryPtr entry);
  Task<std::shared_ptr<Loaded>> load_snapshot(Snapshot snapshot, std::uint32_t count);
  Task<std::shared_ptr<Loaded>> load_one_of(EntryPtr entry, std::string snapshot_id);
  Task<std::shared_ptr<Loaded>> load_files(std::string folder, std::string id, keys::Key key, std::uint32_t count);
  enum class LoadedPart { memory, disk };
  Task<void> load_part(std::shared_ptr<Loaded> loaded, LoadedPart part);
  [[nodiscard]] std::string snapshot_folder(const Snapshot& snapshot) const;
  static Result<Snapshot> find_snapshot(const Entry& entry, const std::string& id);
  Task<Prepared> grow_from(std::shared_ptr<Loaded> loaded, std::string hostname);
  Task<void> run_on(EntryPtr entry, Prepared prepared);
  Task<Info> do_restore(EntryPtr entry, std::string snapshot_id);
  Task<std::shared_ptr<Loaded>> prepare_fork(EntryPtr entry, ForkWish wish);
  Task<std::vector<Info>> fork_from(std::string id, ForkWish wish);
  Task<std::vector<Info>> fork_all(std::shared_ptr<Loaded> loaded, ForkWish wish);
  struct Forks;
  Task<void> fork_number(std::shared_ptr<Forks> forks, std::uint32_t number);
  Task<Info> fork_one(std::shared_ptr<Loaded> loaded, std::string name);
  Task<Info> sprout(std::shared_ptr<Loaded> loaded, model::WorkspaceSpec spec, Isolation isolation);
  Task<Info> sprout_scratch(std::shared_ptr<Loaded> loaded, ScratchWish wish);
  Task<Info> do_fork(EntryPtr entry, Lane::Place place, identity::Totals in_use, std::shared_ptr<Loaded> loaded);
  Task<void> sweep_soon();
  Task<void> let_go(EntryPtr entry);
  Task<void> save(EntryPtr entry);
  Task<void> save_as(EntryPtr entry, store::Durability durability);
  Task<Prepared> cold_start(EntryPtr entry, MachineWish wish, std::optional<disk::Volume> volume);
  Task<MemoryBudget::Reservation> reserve_memory(std::uint64_t guest_mib);

  Task<void> reconcile_one(std::shared_ptr<Orphans> orphans, StoredRecord stored);
  Task<void> remove_orphan(std::string vm_id);
  Task<void> clear_leftover(std::string id, std::string why);
  Task<bool> has_disk_of(std::string id);
  Task<void> read_sealed(EntryPtr entry);
  Task<void> finish_stop(EntryPtr entry);
  Task<void> end_at_shut_down(EntryPtr entry, Permanent permanent);
  void keep_unreadable(const std::string& id, const Error& error);

  [[nodiscard]] identity::Totals promised_to(const std::string& namespace_id, const Entry* all_but) const;
  [[nodiscard]] static identity::Totals promised_to(const Record& record);

  // Whether what is contained may be touched: by nobody but who contains it.
  enum class Reaching { free_ones, contained_too };
  // Runs `operation` on the workspace when its turn comes, to its end.
  template <class T>
  Task<T> in_turn(std::string id, std::string name, std::function<Task<T>(EntryPtr)> operation,
                  Reaching reaching = Reaching::free_ones);
  template <class T>
  Task<T> with_place(std::string id, std::function<Task<T>(EntryPtr)> operation,
                     Reaching reaching = Reaching::free_ones);
  Task<void> stop_vcpus(EntryPtr entry);
  Task<Info> do_keep_still(EntryPtr entry);
  [[nodiscard]] bool contained(const Entry& entry) const;
  [[nodiscard]] Status check_free(const Entry& entry) const;
  [[nodiscard]] Result<EntryPtr> find(const std::string& id) const;
  [[nodiscard]] EntryPtr find_by_key(const std::string& namespace_id, const std::string& key) const;
  [[nodiscard]] Status check_new(const model::WorkspaceSpec& spec) const;
  [[nodiscard]] Status check_name(const std::string& name, const Entry* self) const;
  [[nodiscard]] Status check_slug(const std::string& slug, const Entry* self) const;
  void step(Entry& entry, model::State to, std::string detail = {});
  void tell(const EntryPtr& entry, EventKind kind, std::string detail = {});
  void note(const EntryPtr& entry, LogSource source, std::string message);
  void write_notes(const EntryPtr& entry);
  Task<void> write_journal(EntryPtr entry);
  Task<void> close_journal(EntryPtr entry);
  Task<void> load_journal(EntryPtr entry);
  Task<void> rewrite_journal(EntryPtr entry);
  // What the guest's kernel said at its boot goes to the journal, once for each machine.
  Task<void> hear_kernel(EntryPtr entry);

  loop::asio::any_io_executor executor_;
  loop::WorkerPool& workers_;
  FindImage find_image_;
  vm::MachineDriver& driver_;
  keys::KeyStore& keys_;
  keys::ReceiptBook& receipts_;
  ManagerOptions options_;
  ledger::NoRecorder nothing_;
  disk::VolumeStore volumes_;
  WorkspaceTable table_;
  SnapshotTable snapshot_table_;
  ArchiveTable archive_table_;
  MemoryBudget budget_;
  Machines machines_;
  Pool pool_;
  Lane cold_starts_;
  std::map<std::string, EntryPtr> entries_;
  bool closing_ = false;
  bool sweeping_ = false;
  std::chrono::steady_clock::time_point last_removal_;
  loop::TaskGroup operations_;  // run to their end
  loop::TaskGroup watchers_;    // cancelled at the end
  std::vector<OnEvent> listeners_;
  Supervisor workloads_;
};

// Its disk is from before disks were encrypted, as is what else the record has of the guest.
[[nodiscard]] bool has_plain_disk(const Record& record);
inline constexpr std::string_view kPlainDisk = "disk.img";
[[nodiscard]] std::string plain_disk_path(const std::string& workspace_folder);
// FailedPrecondition when it is on hold.
[[nodiscard]] Status check_not_held(const Record& record);
void touch_entry(Entry& entry);
// A use that was counted in `in_use` is over: the workspace's idleness begins anew.
void end_use(Entry& entry);
[[nodiscard]] Info info_of(const Entry& entry);

// The jail's end of a machine's time comes so much after the daemon's, which is gentler.
inline constexpr std::chrono::milliseconds kGentleEnd = std::chrono::seconds(60);
[[nodiscard]] std::optional<std::chrono::milliseconds> hard_ttl(const model::WorkspaceSpec& spec);
[[nodiscard]] Status check_ttl(std::chrono::milliseconds ttl);

// Operations on a workspace wait this long for those before them.
inline constexpr std::chrono::milliseconds kTurnLimit = std::chrono::minutes(3);

template <class T>
Task<T> ManagerImpl::with_place(std::string id, std::function<Task<T>(EntryPtr)> operation, Reaching reaching) {
  CO_TRY_ASSIGN(const EntryPtr entry, find(id));
  CO_TRY_ASSIGN(const auto place, co_await entry->lane.enter(kTurnLimit));
  if (entry->gone) co_return fail(Code::NotFound, "the workspace '" + id + "' has been removed meanwhile");
  if (reaching == Reaching::free_ones) CO_TRY(check_free(*entry));
  co_return co_await operation(entry);
}

template <class T>
Task<T> ManagerImpl::in_turn(std::string id, std::string name, std::function<Task<T>(EntryPtr)> operation,
                             Reaching reaching) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  auto in_place = with_place<T>(std::move(id), std::move(operation), reaching);
  co_return co_await run_owned<T>(operations_, std::move(name), std::move(in_place));
}

}  // namespace cofferdam::workspace

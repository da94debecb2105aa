// All workspaces of this host: their life from create to nothing left.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secure_bytes.h"
#include "identity/limits.h"
#include "image/image_store.h"
#include "keys/key_store.h"
#include "keys/receipt_book.h"
#include "ledger/recorder.h"
#include "loop/feed.h"
#include "loop/task.h"
#include "loop/worker_pool.h"
#include "model/workspace_spec.h"
#include "model/workspace_state.h"
#include "vm/machine.h"
#include "workspace/archive.h"
#include "workspace/event.h"
#include "workspace/limits.h"
#include "workspace/log_line.h"
#include "workspace/pool.h"
#include "workspace/snapshot.h"
#include "workspace/workloads.h"
#include "workspace/workspace_table.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::workspace {

using loop::Feed;
using loop::Task;

struct Info {
  std::string id;  // "ws_…"
  model::WorkspaceSpec spec;
  model::State state = model::State::creating;
  std::string state_detail;  // why it is in this state, for people; may be empty
  std::chrono::system_clock::time_point created_at, updated_at;
  std::optional<std::chrono::system_clock::time_point> started_at, expires_at;
  std::string hostname;
  std::string vm_id;                 // empty unless running
  bool from_pool = false;            // its machine was ready when it was asked for
  std::optional<Resources> pending;  // resized to at the next start
  std::uint32_t restarts = 0;        // by its restart policy, in a row
  std::chrono::system_clock::time_point last_active_at;
  std::string disk_key_id;
  bool disk_kept = false;  // it outlives its machine, and its key lies in the key tree
  bool asleep = false;     // suspended with its memory on disk: no machine of it is left
  bool held = false;
  std::string hold_reason;
  std::size_t snapshots = 0;
  bool isolated = false;   // it never has a network, whatever is asked for
  bool was_there = false;  // only of create(): it was made before, for the same key

  bool operator==(const Info&) const = default;
};

struct Owner {
  std::string id, namespace_id;
};

// nullopt and absent leave a field as it is; an empty slug or logo takes it away.
struct Change {
  std::optional<std::string> name, slug, logo;
  std::optional<model::OnExit> on_exit = {};
  std::optional<model::RestartPolicy> restart_policy = {};
  std::optional<std::uint32_t> max_restarts = {};
  bool operator==(const Change&) const = default;
};
enum class MetadataChange { replace, merge };  // merge: an empty value takes its key away
enum class Apply { at_next_start, now };
struct Resized {
  Info info;
  bool relaunched = false;
};

// Whether one thing more (or what a larger workspace takes more) still fits the namespace, beside what is in use there;
// "" is the default namespace. Its error is the caller's answer. May suspend; what was asked for counts as in use for
// whoever asks meanwhile.
using AdmitWorkspace =
    std::function<Task<void>(std::string namespace_id, identity::Totals in_use, identity::Totals wish)>;
// The values of a namespace's secrets, in the order of `names`: identity::Secrets::reveal_for_delivery.
using RevealSecrets = std::function<Task<std::vector<std::pair<std::string, SecureBytes>>>(
    std::string namespace_id, std::vector<std::string> names)>;

// Whoever keeps the networks of workspaces, above or below: told of each machine. None of these wait for the manager.
struct NetworkHooks {
  // A guest runs, or runs on after it stood still. An error: its workspace cannot be used.
  std::function<Task<void>(std::string id, std::shared_ptr<vm::Machine> machine)> attach;
  std::function<void(const std::string& id)> detach;  // its machine is ending
  std::function<void(const std::string& id)> forget;  // the workspace is no more
};

// What a removal did, for the person who asked.
struct Removal {
  std::string id;
  std::int64_t took_us = 0;
  std::int64_t keys_gone_us = 0;  // after so long nothing could open what is left any more
  std::string receipt_id;         // of its erasure
};

using PoolInfo = PoolStatus;

struct HostInfo {
  vm::AcceleratorInfo accelerator;
  std::uint32_t workspaces = 0, running = 0;
  std::vector<PoolInfo> pools;
};

// Restarts of a machine that died, in a row: doubled with each, and counted anew after it ran for a while.
struct RestartDelays {
  std::chrono::milliseconds first{1000}, longest{60'000}, forgotten_after{10 * 60'000};
};

// Why a workspace is contained, for people; nullopt: it is not.
using ContainedBecause = std::function<std::optional<std::string>(const std::string& id)>;

struct ManagerOptions {
  std::string state_dir;           // workspaces/ and disks/ under it belong to the manager
  std::uint32_t pool_size = 2;     // ready machines kept for each shape that was asked for lately
  std::uint32_t pool_standby = 1;  // and started VMMs without a guest; both 0: no pool
  std::string default_image = "debian-12";
  std::uint32_t max_workspaces = 1000;
  std::size_t cold_starts_at_once = 4;
  PoolOptions pool;  // but its size and standby
  MemoryRules memory;
  AdmitWorkspace admit;                  // none: everything is admitted
  AdmitWorkspace may_run;                // of one that is there, beside the others: before it starts, wakes or goes on
  RevealSecrets reveal_secrets;          // none: a workspace with secrets is refused
  ledger::Recorder* recorder = nullptr;  // null: nothing is written down
  RestartDelays restarts;
  std::chrono::milliseconds workload_figures_every{2000}, workload_stop_grace{5000};
  NetworkHooks network;        // none of them: workspaces have no network
  ContainedBecause contained;  // asked before every operation; none: nothing ever is
};

// Used on the loop's thread only. Ids, slugs and names are accepted as `id`.
class Manager {
 public:
  // Makes its folders. `workers` should not be shared with work that takes minutes. All arguments outlive the manager.
  static Result<std::unique_ptr<Manager>> open(loop::asio::any_io_executor executor, loop::WorkerPool& workers,
                                               store::Database& database, FindImage find_image,
                                               vm::MachineDriver& driver, keys::KeyStore& keys,
                                               keys::ReceiptBook& receipts, ManagerOptions options);
  virtual ~Manager() = default;

  // Adopts what still lives, removes what should not be there. Once, before anything else.
  virtual Task<void> reconcile() = 0;
  // Starts keeping the pools filled.
  virtual void start_pools() = 0;
  // Ends every temporary workspace and the pools; permanent ones as asked. Nothing may be called afterwards. An error:
  // something did not end in time, still runs, and the manager must not be destroyed.
  enum class Permanent { keep_running, stop };
  virtual Task<void> shut_down(Permanent permanent) = 0;

  // Running when it returns. A failure leaves nothing. ResourceExhausted when the host lacks the memory.
  // The same `idempotency_key` (per namespace, at most 255 bytes, empty: none) answers the workspace that was made for
  // it, as long as that is there, whatever `spec` says.
  virtual Task<Info> create(model::WorkspaceSpec spec, std::string idempotency_key = {}) = 0;
  [[nodiscard]] virtual std::vector<Info> list() const = 0;
  [[nodiscard]] virtual Result<Info> get(const std::string& id) const = 0;
  // Just its id, and the namespace it is in.
  [[nodiscard]] virtual Result<Owner> owner(const std::string& id) const = 0;
  // Operations on one workspace take turns in order of arrival; Aborted when too many wait. Each runs to its end even
  // when its caller is cancelled. Starting what runs and stopping what is stopped does nothing. Nothing that does not
  // run starts, wakes or goes on where ManagerOptions::may_run says no: its error is the answer.
  virtual Task<Info> start(std::string id) = 0;
  virtual Task<Info> stop(std::string id) = 0;     // FailedPrecondition for one that keeps no disk: it would be gone
  virtual Task<Info> restart(std::string id) = 0;  // on the same disk; as stop() and start()
  // The machine stands still and keeps its memory. FailedPrecondition unless it runs. A paused one stays so until
  // resume(); a suspended one wakes for whatever needs it.
  virtual Task<Info> pause(std::string id) = 0;
  virtual Task<Info> suspend(std::string id) = 0;
  virtual Task<Info> resume(std::string id) = 0;
  // FailedPrecondition for one on hold.
  virtual Task<Removal> remove(std::string id) = 0;
  // For whoever contains workspaces. As long as ManagerOptions::contained has a reason, every other operation and every
  // command is refused with it, no time ends the workspace, and it outlives the daemon.
  // Its vCPUs stand still when this returns: at once, whatever else is under way with it, but for one that is just
  // being woken, which comes up first.
  virtual Task<void> seize(std::string id) = 0;
  // When its turn has come: its memory and disk as they are, in a snapshot. It stands still afterwards.
  virtual Task<Snapshot> preserve(std::string id) = 0;
  // When its turn has come: paused, its disk kept, without an end of its time. One that has stopped stays so.
  virtual Task<Info> keep_still(std::string id) = 0;
  // FailedPrecondition when it is contained.
  [[nodiscard]] virtual Status check_free(const std::string& id) const = 0;
  // Until unhold() nothing deletes it, nor its snapshots: no removal, no end of its time. Its disk is kept.
  virtual Task<Info> hold(std::string id, std::string reason) = 0;
  virtual Task<Info> unhold(std::string id) = 0;

  // Memory, devices and disk of one that runs or stands still, as they are at one moment, under a key of its own.
  virtual Task<Snapshot> snapshot(std::string id, AfterSnapshot after) = 0;
  [[nodiscard]] virtual Result<std::vector<Snapshot>> snapshots(const std::string& id) const = 0;  // oldest first
  virtual Task<void> remove_snapshot(std::string id, std::string snapshot_id) = 0;
  // Back to where it was; without an id, to the latest. What runs is touched only when its successor runs.
  // FailedPrecondition when VMM, processor, kernel or image are not as they were; DataLoss names what is damaged.
  virtual Task<Info> restore(std::string id, std::string snapshot_id) = 0;
  // Workspaces of their own that go on from there: all or none.
  virtual Task<std::vector<Info>> fork(std::string id, ForkWish wish) = 0;

  // The three of them also of what is contained. The files of a snapshot (empty: the latest), for evidence.
  virtual Task<SealedSnapshot> sealed_snapshot(std::string id, std::string snapshot_id) = 0;
  // A temporary workspace that goes on from there, isolated.
  virtual Task<Info> scratch(std::string id, std::string snapshot_id, ScratchWish wish) = 0;
  // The same from files. Errors as of restore(); NotFound when this host has no key for them.
  virtual Task<Info> scratch_from(BroughtSnapshot brought, ScratchWish wish) = 0;

  // The last of what its guest has written to its console; empty when it does not run. Also of what is contained.
  virtual Task<std::string> console(std::string id) = 0;

  // Keeps what `bytes` gives (a tar.zst) until its end, encrypted under a key of its own. AlreadyExists: the version.
  virtual Task<Archive> add_archive(std::string id, ArchiveWish wish, ArchiveBytes bytes) = 0;
  [[nodiscard]] virtual Result<std::vector<Archive>> archives(const std::string& id) const = 0;  // oldest first
  // What was kept, block by block; DataLoss names one that was changed.
  virtual Task<ArchiveBytes> read_archive(std::string id, std::string version) = 0;
  virtual Task<void> remove_archive(std::string id, std::string version) = 0;

  // From now; nullopt: no end, which only a permanent one may have.
  virtual Task<Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now,
                             std::optional<model::TtlAction> action = {}) = 0;

  virtual Task<Info> update(std::string id, Change change) = 0;
  virtual Task<Info> set_metadata(std::string id, model::Metadata values, MetadataChange how) = 0;
  // Its disk gets a name, and it no longer ends by itself.
  virtual Task<Info> make_permanent(std::string id, std::optional<model::RestartPolicy> restart_policy) = 0;
  // Without `ttl`: the one it has, or an hour.
  virtual Task<Info> make_temporary(std::string id, std::optional<std::chrono::milliseconds> ttl,
                                    std::optional<model::TtlAction> action, std::optional<model::OnExit> on_exit) = 0;
  virtual Task<Info> set_idle(std::string id, std::optional<model::IdlePolicy> policy) = 0;
  // Counts as activity, and begins the time to live anew (with `ttl` when it is given).
  virtual Task<Info> ping(std::string id, std::optional<std::chrono::milliseconds> ttl) = 0;
  // With Apply::now a running one is relaunched on its disk. A disk only grows (FailedPrecondition); one that keeps no
  // disk cannot be relaunched.
  virtual Task<Resized> resize(std::string id, Resources resources, Apply apply) = 0;

  // The machine of a running workspace; FailedPrecondition with a hint when it is not running.
  virtual Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const = 0;
  // The same, after a suspended workspace was woken. It is in use as long as somebody holds the answer, and not idle.
  virtual Task<std::shared_ptr<vm::Machine>> wake_machine(std::string id) = 0;
  // Somebody uses it.
  virtual void touch(const std::string& id) = 0;
  // Starts a command with the environment of image and workspace and the image's defaults filled in, within limits.
  // `after` is only written down, so that a workspace whose client died with the daemon is removed at the next start:
  // whoever asks for `remove` also calls remove().
  virtual Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec,
                                                       AfterExec after = AfterExec::keep,
                                                       KeepOutput keep_output = KeepOutput::no) = 0;
  // Commands with a tag that a former daemon had started and that were not taken yet; they count as use of the
  // workspace, and those that nobody takes end with its machine. `tag` is what was in ExecSpec, by the guest's word.
  virtual std::vector<vm::LeftProcess> take_left(const std::string& id) = 0;

  // The last `tail` lines (0: all that are kept).
  virtual Task<std::vector<LogLine>> logs(std::string id, LogSource source, std::size_t tail) = 0;
  virtual Task<void> clear_logs(std::string id) = 0;
  // Lines from now on, until the workspace is removed.
  virtual Result<std::shared_ptr<Feed<LogLine>>> follow_logs(const std::string& id, LogSource source) = 0;

  // What the workspaces of a namespace were promised, running or not.
  [[nodiscard]] virtual identity::Totals usage_of(const std::string& namespace_id) const = 0;
  // Every event from now on, for as long as the manager lives.
  virtual void on_event(OnEvent callback) = 0;
  virtual Workloads& workloads() = 0;
  [[nodiscard]] virtual HostInfo host_info() const = 0;
};

}  // namespace cofferdam::workspace

// All workspaces of this host: their life from create to nothing left.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image_store.h"
#include "loop/task.h"
#include "loop/worker_pool.h"
#include "model/workspace_spec.h"
#include "model/workspace_state.h"
#include "vm/machine.h"
#include "workspace/limits.h"
#include "workspace/pool.h"
#include "workspace/workspace_table.h"

namespace cofferdam::workspace {

using loop::Task;

struct Info {
  std::string id;  // "ws_…"
  model::WorkspaceSpec spec;
  model::State state = model::State::creating;
  std::string state_detail;  // why it is in this state, for people; may be empty
  std::chrono::system_clock::time_point created_at, updated_at;
  std::optional<std::chrono::system_clock::time_point> started_at, expires_at;
  std::string hostname;
  std::string vm_id;       // empty unless running
  bool from_pool = false;  // its machine was ready when it was asked for
};

// What a removal did, for the person who asked.
struct Removal {
  std::string id;
  std::int64_t took_us = 0;
};

using PoolInfo = PoolStatus;

struct HostInfo {
  vm::AcceleratorInfo accelerator;
  std::uint32_t workspaces = 0, running = 0;
  std::vector<PoolInfo> pools;
};

struct ManagerOptions {
  std::string state_dir;           // workspaces/ and disks/ under it belong to the manager
  std::uint32_t pool_size = 2;     // ready machines kept for each shape that was asked for lately
  std::uint32_t pool_standby = 1;  // and started VMMs without a guest; both 0: no pool
  std::string default_image = "debian-12";
  std::uint32_t max_workspaces = 1000;
  std::size_t cold_starts_at_once = 4;
  PoolOptions pool;  // but its size and standby
  MemoryRules memory;
};

// Used on the loop's thread only. Names and ids are both accepted as `id`.
class Manager {
 public:
  // Makes its folders. `workers` should not be shared with work that takes minutes. All arguments outlive the manager.
  static Result<std::unique_ptr<Manager>> open(loop::asio::any_io_executor executor, loop::WorkerPool& workers,
                                               FindImage find_image, vm::MachineDriver& driver, ManagerOptions options);
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
  virtual Task<Info> create(model::WorkspaceSpec spec) = 0;
  [[nodiscard]] virtual std::vector<Info> list() const = 0;
  [[nodiscard]] virtual Result<Info> get(const std::string& id) const = 0;
  // Operations on one workspace take turns in order of arrival; Aborted when too many wait. Each runs to its end even
  // when its caller is cancelled. Starting what runs and stopping what is stopped does nothing.
  virtual Task<Info> start(std::string id) = 0;
  virtual Task<Info> stop(std::string id) = 0;  // FailedPrecondition for a temporary one: its disk would be gone
  virtual Task<Removal> remove(std::string id) = 0;
  // From now; nullopt: no end, which only a permanent one may have.
  virtual Task<Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now) = 0;

  // The machine of a running workspace; FailedPrecondition with a hint when it is not running.
  virtual Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const = 0;
  // Starts a command with the environment of image and workspace and the image's defaults filled in, within limits.
  // `after` is only written down, so that a workspace whose client died with the daemon is removed at the next start:
  // whoever asks for `remove` also calls remove().
  virtual Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec,
                                                       AfterExec after = AfterExec::keep) = 0;
  [[nodiscard]] virtual HostInfo host_info() const = 0;
};

}  // namespace cofferdam::workspace

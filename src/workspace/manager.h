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
  std::string vm_id;          // empty unless running
  bool from_pool = false;     // its machine was ready when it was asked for
};

// What a removal did, for the person who asked.
struct Removal {
  std::string id;
  std::int64_t took_us = 0;
};

struct PoolInfo {
  std::string image;
  model::Shape shape;
  std::uint32_t disk_mib = 0;
  std::uint32_t ready = 0, wanted = 0;
};

struct HostInfo {
  vm::AcceleratorInfo accelerator;
  std::uint32_t workspaces = 0, running = 0;
  std::vector<PoolInfo> pools;
};

struct ManagerOptions {
  std::string state_dir;       // workspaces/ and disks/ under it belong to the manager
  std::uint32_t pool_size = 2;  // ready machines kept for each shape that was asked for lately; 0: no pool
  std::string default_image = "debian-12";
  std::uint32_t max_workspaces = 1000;
};

// Used on the loop's thread only. Names and ids are both accepted as `id`.
class Manager {
 public:
  static std::unique_ptr<Manager> make(loop::asio::any_io_executor executor, loop::WorkerPool& workers,
                                       image::ImageStore& images, vm::MachineDriver& driver, ManagerOptions options);
  virtual ~Manager() = default;

  // Adopts what still lives, removes what should not be there. Once, before anything else.
  virtual Task<void> reconcile() = 0;
  // Starts keeping the pools filled.
  virtual void start_pools() = 0;
  // Ends every temporary workspace and the pools. Permanent ones keep running when `keep_permanent`.
  enum class Permanent { keep_running, stop };
  virtual Task<void> shut_down(Permanent permanent) = 0;

  // Running when it returns. A failure leaves nothing. ResourceExhausted when the host lacks the memory.
  virtual Task<Info> create(model::WorkspaceSpec spec) = 0;
  [[nodiscard]] virtual std::vector<Info> list() const = 0;
  [[nodiscard]] virtual Result<Info> get(const std::string& id) const = 0;
  virtual Task<Info> start(std::string id) = 0;
  virtual Task<Info> stop(std::string id) = 0;
  virtual Task<Removal> remove(std::string id) = 0;
  virtual Task<Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now) = 0;

  // The machine of a running workspace; FailedPrecondition with a hint when it is not running.
  virtual Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const = 0;
  // Starts a command with the environment of image and workspace and the image's defaults filled in, within limits.
  virtual Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec) = 0;
  [[nodiscard]] virtual HostInfo host_info() const = 0;
};

}  // namespace cofferdam::workspace

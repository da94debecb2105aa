// Machines made ahead of need, each for one workspace: filled in the background, out of the way of those who wait. Some
// are ready, their guests paused in front of their first command; others are on standby, which spares whoever finds no
// ready one the start of a VMM.
#pragma once
#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/image_store.h"
#include "loop/event.h"
#include "loop/task_group.h"
#include "workspace/machines.h"

namespace cofferdam::workspace {

struct PoolOptions {
  std::uint32_t size = 2;                         // ready machines of each kind
  std::uint32_t standby = 1;                      // machines on standby of each kind; both 0: no pool
  std::size_t max_kinds = 4;                      // of the kinds that were asked for lately
  std::chrono::milliseconds keep{10 * 60'000};    // a kind nobody asked for in this time is drained
  std::chrono::milliseconds after_claim{50};      // how long refilling waits after a claim
  std::chrono::milliseconds under_load{250};      // the same when the host is busy
  std::chrono::milliseconds longest_quiet{1000};  // claims that never pause do not keep it from filling for longer
  std::chrono::milliseconds first_backoff{1000};  // after a failure, doubled with each
  std::chrono::milliseconds max_backoff{60'000};
  std::chrono::milliseconds tick{2000};  // how often dead members, drained kinds and memory pressure are looked for
};

struct PoolStatus {
  std::string image;
  model::Shape shape;
  std::uint32_t disk_mib = 0;
  std::uint32_t ready = 0, wanted = 0;
  std::uint32_t standby = 0;
};

// Single-threaded. Members have the full CPU share of their shape and no limits on their disk's throughput.
class Pool {
 public:
  // All outlive the pool.
  Pool(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers, FindImage find_image, Machines& machines,
       MemoryBudget& budget, PoolOptions options);
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool();

  // `default_image` in the default shape is kept warm for good, from when it exists.
  void start(std::string default_image);
  // Everything it has is destroyed when this returns; take() then answers nothing.
  Task<void> shut_down();

  // A ready machine; nullopt when there is none. Either way the kind counts as asked for.
  std::optional<Prepared> take(const image::Image& image, model::Shape shape, std::uint32_t disk_mib);
  // After that, a machine on standby.
  std::optional<Prepared> take_standby(const image::Image& image, model::Shape shape, std::uint32_t disk_mib);

  // While one of these lives, nothing is refilled: somebody waits for a machine that is just being made.
  class [[nodiscard]] Hold {
   public:
    explicit Hold(Pool& pool) : pool_(&pool) { ++pool_->holds_; }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      --pool_->holds_;
      pool_->wake_.notify();
    }

   private:
    Pool* pool_;
  };

  // Destroys one member to make room for a workspace; NotFound when there is none.
  Task<void> give_up_one();
  [[nodiscard]] std::vector<PoolStatus> status() const;

 private:
  struct Kind;
  Task<void> run();
  Task<void> tidy();
  Task<void> fill(std::shared_ptr<Kind> kind, vm::Stage stage);
  Task<void> want_default();
  Task<void> discard(Prepared member, std::string why);
  [[nodiscard]] bool in_use() const { return (options_.size != 0 || options_.standby != 0) && !closed_; }
  std::optional<Prepared> first_alive(std::list<Prepared>& members);
  std::shared_ptr<Kind> want(const image::Image& image, model::Shape shape, std::uint32_t disk_mib);
  // What is to be made next: ready machines come before those on standby.
  struct Work {
    std::shared_ptr<Kind> kind;
    vm::Stage stage = vm::Stage::rehearsed;
  };
  [[nodiscard]] std::optional<Work> find_work() const;
  void drop(const std::shared_ptr<Kind>& kind, const std::string& why);
  [[nodiscard]] std::chrono::milliseconds pause() const;

  loop::WorkerPool& workers_;
  FindImage find_image_;
  Machines& machines_;
  MemoryBudget& budget_;
  PoolOptions options_;
  std::string default_image_;
  std::list<std::shared_ptr<Kind>> kinds_;  // the one asked for last comes first
  std::uint32_t holds_ = 0;
  std::chrono::steady_clock::time_point quiet_from_, quiet_until_;
  bool closed_ = false;
  bool waits_for_memory_ = false;
  loop::Event wake_;
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::workspace

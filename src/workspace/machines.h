// Every call of the machine driver: prepared machines are made whole or not at all, and each wait has a bound.
//
// A call that takes too long is left to end by itself, and what it then answers is given back: cutting a driver's work
// short in the middle would leave half a machine.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "disk/volume_store.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "vm/machine.h"
#include "workspace/limits.h"
#include "workspace/owned.h"

namespace cofferdam::workspace {

using loop::Task;

// image::ImageStore::find, blocking, on any thread.
using FindImage = std::function<Result<image::Image>(const std::string& name)>;

// A machine that is nobody's yet, and what belongs to it.
struct Prepared {
  std::shared_ptr<vm::Machine> machine;
  disk::Volume volume;
  MemoryBudget::Reservation memory;
};

struct MachineWish {
  image::Image image;
  model::Shape shape;
  std::uint32_t cpu_millis = 1000;
  model::IoLimits io;
  std::uint32_t disk_mib = 0;
  std::shared_ptr<const vm::Saved> saved;  // goes on from there; with make_on() alone
  vm::Stage stage = vm::Stage::rehearsed;
  vm::Urgency urgency = vm::Urgency::background;
};

class Machines {
 public:
  // All but the executor outlive the object.
  Machines(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers, vm::MachineDriver& driver,
           const disk::VolumeStore& volumes)
      : workers_(workers), driver_(driver), volumes_(volumes), calls_(executor) {}

  // On a fresh disk.
  Task<Prepared> make(MachineWish wish, MemoryBudget::Reservation memory);
  // On a disk that is there already.
  Task<Prepared> make_on(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory);

  Task<void> wake(std::shared_ptr<vm::Machine> machine, std::string hostname);
  Task<void> claim(std::shared_ptr<vm::Machine> machine, vm::Claim claim);
  Task<void> set_ttl(std::shared_ptr<vm::Machine> machine, std::optional<std::chrono::milliseconds> from_now);
  Task<void> pause(std::shared_ptr<vm::Machine> machine);
  Task<void> resume(std::shared_ptr<vm::Machine> machine);
  Task<std::unique_ptr<vm::GuestProcess>> start_process(std::shared_ptr<vm::Machine> machine, model::ExecSpec spec);
  Task<vm::SavedMachine> save(std::shared_ptr<vm::Machine> machine, vm::SaveWish wish);
  Task<void> shut_down(std::shared_ptr<vm::Machine> machine, std::chrono::milliseconds grace);
  // Returns when its VMM has ended: end() sees to the rest.
  Task<void> kill(std::shared_ptr<vm::Machine> machine);
  // Returns when nothing is left of the machine.
  Task<void> end(std::shared_ptr<vm::Machine> machine);

  // Where something of an ended machine could be, and what is there.
  Task<std::vector<std::pair<std::string, std::string>>> remains(std::string id);

  Task<std::vector<std::string>> orphans();
  Task<std::shared_ptr<vm::Machine>> adopt(std::string id, vm::Adopted as);
  Task<void> remove_orphan(std::string id);

  // Waits for the calls that were left to themselves; DeadlineExceeded when some do not end.
  Task<void> finish(std::chrono::milliseconds limit);

 private:
  Task<Prepared> start(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory,
                       std::shared_ptr<const vm::Seed> seed);
  template <class T>
  Task<T> bounded(std::string what, std::chrono::milliseconds limit, Task<T> call, Unclaimed<T> unclaimed = {});

  loop::WorkerPool& workers_;
  vm::MachineDriver& driver_;
  const disk::VolumeStore& volumes_;
  loop::TaskGroup calls_;
};

}  // namespace cofferdam::workspace

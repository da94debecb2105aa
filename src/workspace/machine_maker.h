// Makes prepared machines: memory promised, disk copied, clone started; all of it or nothing.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "disk/volume_store.h"
#include "loop/worker_pool.h"
#include "vm/machine.h"
#include "workspace/limits.h"

namespace cofferdam::workspace {

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
};

class MachineMaker {
 public:
  // All outlive the maker.
  MachineMaker(loop::WorkerPool& workers, vm::MachineDriver& driver, const disk::VolumeStore& volumes)
      : workers_(workers), driver_(driver), volumes_(volumes) {}

  // On a fresh disk.
  loop::Task<Prepared> make(MachineWish wish, MemoryBudget::Reservation memory);
  // On a disk that is there already.
  loop::Task<Prepared> make_on(disk::Volume volume, MachineWish wish, MemoryBudget::Reservation memory);
  // Returns when nothing is left of the machine.
  loop::Task<void> end(std::shared_ptr<vm::Machine> machine);

 private:
  loop::WorkerPool& workers_;
  vm::MachineDriver& driver_;
  const disk::VolumeStore& volumes_;
};

}  // namespace cofferdam::workspace

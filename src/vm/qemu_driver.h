// The machine driver for QEMU: clones of templates, and what a former daemon left.
#pragma once
#include <memory>
#include <string>

#include "loop/worker_pool.h"
#include "vm/machine.h"

namespace cofferdam::vm {

enum class WantedAccelerator { automatic, kvm, tcg };

struct QemuDriverOptions {
  std::string state_dir;    // templates/ and vmm/ below it belong to the driver
  std::string run_dir;      // vm/ below it belongs to the driver
  std::string jail_binary;  // coffer-jail
  std::string qemu_binary = "/usr/bin/qemu-system-x86_64";
  WantedAccelerator accelerator = WantedAccelerator::automatic;
  std::uint32_t uid_first = 2'000'000;
  std::uint32_t uid_count = 65'536;
};

class QemuDriver {
 public:
  // Blocking (it probes the accelerator and copies QEMU once): at the daemon's start. `workers` outlives the driver.
  static Result<std::unique_ptr<MachineDriver>> make(const loop::asio::any_io_executor& executor,
                                                     loop::WorkerPool& workers, const QemuDriverOptions& options);
};

}  // namespace cofferdam::vm

// The command line of one VMM: a pure function of what is asked. No path of the host is in it: every file is a
// descriptor with a fixed number.
#pragma once
#include <string>
#include <vector>

#include "model/units.h"
#include "model/workspace_spec.h"

namespace cofferdam::vm {

// Descriptor numbers inside the VMM.
namespace fd_number {
inline constexpr int kMemory = 20;   // guest memory: a memfd
inline constexpr int kKernel = 21;   // template only
inline constexpr int kInitrd = 22;   // template only
inline constexpr int kState = 23;    // clone only: its template's device state
inline constexpr int kRoot = 24;     // the image's root file system, read-only
inline constexpr int kDisk = 25;     // the workspace's disk
inline constexpr int kMonitor = 26;  // listening socket of QMP
inline constexpr int kAgent = 27;    // listening socket of the guest link
inline constexpr int kTap = 28;
inline constexpr int kDiskKey = 29;      // clone only: what opens its disk, read once
inline constexpr int kDiskKeyKept = 30;  // the same, for a daemon that takes the machine over; QEMU does not read it
}  // namespace fd_number

// The block node behind the guest's /dev/vdb, for QMP's block_resize and the figures.
inline constexpr const char* kDiskNode = "disk";
inline constexpr const char* kConsoleChardev = "console";

enum class Role {
  template_,  // boots the kernel, memory shared with the file that becomes the template
  clone,      // starts from a template's memory, copy-on-write
};
enum class AcceleratorKind { kvm, tcg };
enum class DiskSlot {
  empty,      // a template that knows no disk: its clones find one there that has grown
  plain,      // a template's disk, raw: nothing of anybody's is in it
  encrypted,  // a clone's
};

// What a clone starts from: a template's state was written by an ordinary migration; that of a saved machine holds
// devices alone, without a head and a foot.
enum class StateForm { migration, devices };

struct QemuSpec {
  Role role = Role::clone;
  StateForm state = StateForm::migration;  // clone only
  AcceleratorKind accelerator = AcceleratorKind::tcg;
  model::Shape shape;
  DiskSlot disk = DiskSlot::encrypted;
  model::IoLimits io;              // clone only
  std::string program;             // inside the bundle
  std::string firmware_folder;     // inside the bundle
  std::uint64_t host_tsc_khz = 0;  // for the guest's clock under TCG
};

std::vector<std::string> qemu_argv(const QemuSpec& spec);
// What a guest of such a spec sees as its processor; part of a template's manifest.
std::string cpu_model(AcceleratorKind accelerator);
// Host memory that the VMM itself may need beside the guest's, in bytes.
std::uint64_t vmm_overhead_bytes(AcceleratorKind accelerator);

}  // namespace cofferdam::vm

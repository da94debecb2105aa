// Starting one VMM in its jail, up to a working QMP connection: what template and clone have in common.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/laps.h"
#include "base/unique_fd.h"
#include "image/image_store.h"
#include "loop/worker_pool.h"
#include "vm/bundle.h"
#include "vm/jail_process.h"
#include "vm/machine.h"
#include "vm/qemu_command.h"
#include "vm/qmp.h"
#include "vm/uid_pool.h"

namespace cofferdam::vm {

// What all machines of this daemon share. Outlives them.
struct Host {
  loop::WorkerPool& workers;
  std::string state_dir;
  std::string machines_dir;  // RUN/vm: one folder a machine, with its sockets
  std::string jail_binary;
  std::string cgroup_parent;
  Bundle bundle;
  AcceleratorKind accelerator;
  std::string processor;  // what a guest's state depends on beside the model it sees
  std::uint64_t host_tsc_khz;
  UidPool uids;
};

// Shares of the CPU, by urgency.
inline constexpr std::uint32_t kBackgroundWeight = 5;
inline constexpr std::uint32_t kNormalWeight = 100;

struct LaunchSpec {
  std::string id;
  Role role = Role::clone;
  image::Image image;
  model::Shape shape;
  std::uint32_t cpu_millis = 1000;
  model::IoLimits io;
  Urgency urgency = Urgency::awaited;
  StateForm state_form = StateForm::migration;
  int memory = -1;  // borrowed: guest memory
  int state = -1;   // borrowed: device state; clone only
  int disk = -1;    // borrowed; -1: none, in a template
  std::uint64_t disk_file_bytes = 0;
  SecureBytes disk_passphrase;  // clone only
};

struct Launched {
  Laps laps;  // from the start of the launch
  std::unique_ptr<JailProcess> jail;
  std::unique_ptr<QmpClient> qmp;
  std::uint32_t uid = 0;
};

// The sockets in a machine's run folder.
std::string run_folder(const Host& host, const std::string& id);
std::string monitor_socket(const Host& host, const std::string& id);
std::string agent_socket(const Host& host, const std::string& id);
std::string jail_socket(const Host& host, const std::string& id);

// A failure leaves nothing, and carries the VMM's last words.
Task<Launched> launch(Host& host, LaunchSpec spec);

// Ends the VMM, waits until the jail has removed everything of it, gives the uid back, and stops both connections.
// After a jail that died first, removes what it left. `launched` outlives the task and stays whole: whoever asks
// meanwhile is told that the machine has ended.
Task<void> land(Host& host, std::string id, Launched& launched);

// The reading end of a pipe that holds `secret`: in no file, in no memory that can be swapped, gone once it was read.
// QEMU opens it again by way of /proc, as `uid`.
Result<UniqueFd> pipe_with(const SecureBytes& secret, std::uint32_t uid);

// What the VMM with this process id keeps for a daemon that takes it over: its disk's passphrase. The VMM's word.
Result<SecureBytes> kept_passphrase(int vmm_pid);

// Removes what a jail that died could not: cgroups with all that is in them, and the run folder.
Status sweep(Host& host, const std::string& id);
// The places where something of it could be, each with "gone" or what is there. A VMM's processes, and with them its
// network namespace and TAP, live in its control groups. Blocking.
Result<std::vector<std::pair<std::string, std::string>>> remains(const Host& host, const std::string& id);

}  // namespace cofferdam::vm

// What coffer-jail is asked to do for one VMM: a plain value, sent once over the control socket, and validated again
// on the jail's side before anything is done with it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::jail {

// The jail's own numbers: the descriptor its control socket has when it starts, and the bound of an encoded plan.
inline constexpr int kControlFd = 3;
inline constexpr std::size_t kMaxPlanBytes = 128U << 10;
inline constexpr std::size_t kMaxPlanFds = 32;

// The descriptor at `index` of those that came with the plan is number `target` in the VMM.
struct FdMapping {
  std::uint32_t index = 0;
  std::int32_t target =
      -1;  // 3 to 1023; 0, 1 and 2 are the jail's: nothing to read, and a bounded tail of what is said
  bool operator==(const FdMapping&) const = default;
};

struct CgroupPlan {
  std::string parent;                    // one folder below each controller's root, such as "cofferdam"
  std::uint64_t memory_max_bytes = 0;    // swap included where the kernel can; at least 16 MiB
  std::uint32_t cpu_max_millicores = 0;  // 500 is half a CPU; 10 to 1,024,000
  std::uint32_t pids_max = 0;            // processes and threads; 1 to 65,536
  std::uint32_t cpu_weight = 100;        // its share beside its siblings when the CPUs are short; 1 to 10,000
  bool operator==(const CgroupPlan&) const = default;
};

struct RlimitPlan {
  std::uint64_t nofile = 1024;    // 16 to 1,048,576, above every descriptor of the map
  std::uint64_t fsize_bytes = 0;  // the largest offset the VMM may write to a file: at least the disk's size
  std::uint64_t memlock_bytes = 0;
  std::uint64_t nproc = 256;  // 1 to 65,536
  bool operator==(const RlimitPlan&) const = default;
};

enum class VnetHdr : std::uint8_t { off, on };

// A TAP named "tap0", up and without an address, alone with "lo" in the VMM's network namespace.
struct TapPlan {
  std::int32_t target = -1;  // its descriptor's number in the VMM
  VnetHdr vnet_hdr = VnetHdr::on;
  bool operator==(const TapPlan&) const = default;
};

// What becomes of the VMM when nobody holds the control connection any more.
enum class Lease : std::uint8_t { keep_on_loss, kill_on_loss };

// `yes`: /dev holds one node, the host's KVM device, owned by the VMM's uid. `no`: /dev is empty.
enum class KvmDevice : std::uint8_t { no, yes };

struct JailPlan {
  std::string id;         // names the cgroups; letters, digits, '_', '-', '.'; at most 64; no leading '.'
  std::uint32_t uid = 0;  // never 0
  std::uint32_t gid = 0;  // never 0
  std::string root;       // absolute; the bundle's folder, becomes the VMM's read-only "/"; holds "proc" and "dev"
  std::vector<std::string> argv;  // argv[0] is the program's absolute path inside the root
  std::vector<std::string> env;   // "K=V"
  std::vector<FdMapping> fds;
  std::optional<std::uint32_t> listener;  // index of the listening SOCK_SEQPACKET socket for adoption
  std::optional<TapPlan> tap;
  KvmDevice kvm = KvmDevice::no;
  CgroupPlan cgroup;
  RlimitPlan rlimits;
  std::uint64_t ttl_ms = 0;  // from the receipt of the plan; 0: none
  Lease lease = Lease::kill_on_loss;
  std::string cleanup_root;  // absolute; every cleanup path lies strictly below it. May be empty when there are none
  std::vector<std::string> cleanup_paths;  // files or folders removed once the VMM is gone
  bool operator==(const JailPlan&) const = default;
};

// Both sides. `fd_count`: how many descriptors come with the plan. InvalidArgument names the field and the bound.
Status validate(const JailPlan& plan, std::size_t fd_count);

// Validated first, so that the daemon learns of a bad plan before a process is started.
Result<std::string> encode_plan(const JailPlan& plan, std::size_t fd_count);
Result<JailPlan> decode_plan(std::string_view bytes, std::size_t fd_count);

}  // namespace cofferdam::jail

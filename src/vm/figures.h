// What a machine takes of the host, read outside the guest and cheaply enough to be asked every second.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::vm {

struct Figures {
  std::uint64_t cpu_ms = 0;                // of all the VMM's threads, since it started; in steps of the kernel's tick
  std::uint64_t memory_bytes = 0;          // that its control group is charged with
  std::uint64_t disk_allocated_bytes = 0;  // of the disk's file; 0: it has none
  std::uint64_t disk_read_bytes = 0, disk_written_bytes = 0;  // by the guest, as the VMM counts them
};

// Bytes of all of a machine's disks since it started, which its VMM alone counts.
struct DiskTraffic {
  std::uint64_t read = 0, written = 0;
};

// What the VMM said last of its disks, and how long that holds. To ask costs more than all the rest of a look, and no
// guest reads or writes anything without its VMM taking CPU: while that stands still nobody is asked, and what hides in
// a few ticks of it is asked for a little later. Nothing is lost: what is counted is all since the start.
class KnownTraffic {
 public:
  using Time = std::chrono::steady_clock::time_point;
  // So much CPU of the VMM's, or any that is so old, and it is asked again.
  static constexpr std::uint64_t kStirMs = 30;
  static constexpr std::chrono::seconds kPatience{5};

  // `cpu_ms`: what Figures said before the question was sent.
  void told(DiskTraffic traffic, std::uint64_t cpu_ms, Time at) { last_ = {traffic, cpu_ms, at}; }
  // nullopt: ask.
  [[nodiscard]] std::optional<DiskTraffic> at(std::uint64_t cpu_ms, Time now) const;

 private:
  struct Word {
    DiskTraffic traffic;
    std::uint64_t cpu_ms = 0;
    Time at;
  };
  std::optional<Word> last_;
};

// The kernel's part of them, for one VMM. Answers NotFound once that has ended.
class FigureReader {
 public:
  // The VMM's control groups are "<root>/<cgroup_parent>/<id>".
  static Result<FigureReader> open(int vmm_pid, const std::string& cgroup_parent, const std::string& id);
  // Everything but what the VMM counts.
  Result<Figures> read();

 private:
  FigureReader(UniqueFd stat, UniqueFd memory, std::string descriptors)
      : stat_(std::move(stat)), memory_(std::move(memory)), descriptors_(std::move(descriptors)) {}
  std::uint64_t disk_bytes();
  UniqueFd stat_, memory_;
  std::string descriptors_;  // the VMM's, as a folder
  // Those of disks, by name: a descriptor kept here would keep a deleted disk's blocks.
  std::vector<std::string> disks_;
};

}  // namespace cofferdam::vm

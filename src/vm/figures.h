// What a machine takes of the host, read outside the guest and cheaply enough to be asked every second.
#pragma once
#include <cstdint>
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

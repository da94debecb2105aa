// Makes workspaces' disks, and knows how much room the host has for them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "disk/luks.h"
#include "disk/volume.h"

namespace cofferdam::disk {

// Of the host's file system that holds the disks.
struct HostRoom {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t reserve_bytes = 0;  // below this no new disk is made: 1 GiB, or 5 % of a small file system
};

// Calls block, and may come from several threads.
class VolumeStore {
 public:
  // Everything lies in `disks_dir`, which is made.
  static Result<VolumeStore> open(std::string disks_dir);

  // A formatted, empty volume that has no name, under a key that is nowhere else: it is gone when its last descriptor
  // is closed. ResourceExhausted when the host is short of room, or smaller than the disk.
  [[nodiscard]] Result<Volume> make_ephemeral(std::uint32_t mib) const;
  // The same with the content of `source`, a raw disk of at most that size.
  [[nodiscard]] Result<Volume> make_copy(int source, std::uint32_t mib) const;
  // What another volume holds, opened once to be copied as often as one likes.
  struct Source {
    UniqueFd file;
    std::uint64_t bytes = 0;
    SecureBytes volume_key;
  };
  [[nodiscard]] static Result<Source> open_source(const Volume& volume);
  // The same with such content, under a key of its own.
  [[nodiscard]] Result<Volume> make_from(const Source& source, std::uint32_t mib) const;
  // An empty volume with a name of its own that nobody holds, for a virtual machine to copy its disk to.
  struct Target {
    UniqueFd file;
    VolumeFacts facts;
  };
  [[nodiscard]] Result<Target> make_target(const std::string& path, std::uint32_t mib, const keys::Key& key) const;
  // What make_ephemeral() copies, read-only.
  [[nodiscard]] Result<UniqueFd> empty_disk(std::uint32_t mib) const;
  [[nodiscard]] Result<HostRoom> host_room() const;
  // What died processes and older versions left.
  [[nodiscard]] Status remove_leftovers() const;

 private:
  [[nodiscard]] Result<Volume> make(std::uint32_t mib,
                                    const std::function<Status(int to, const LuksHeader& header)>& fill) const;
  explicit VolumeStore(std::string dir) : dir_(std::move(dir)) {}
  [[nodiscard]] std::string formats_dir() const { return dir_ + "/formats"; }
  std::string dir_;
};

// The rule alone: whether a disk of `mib` may be made when the host has `room`.
Status check_room(const HostRoom& room, std::uint32_t mib);

}  // namespace cofferdam::disk

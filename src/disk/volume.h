// One workspace's disk: an open descriptor that nobody else may open for use.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::disk {

class Volume {
 public:
  Volume() = default;  // no disk
  // A volume that persist() named before. FailedPrecondition when a virtual machine still has it; NotFound when it is
  // gone; DataLoss when it is no disk.
  static Result<Volume> open(const std::string& path);

  // Gives an ephemeral volume the name `path` and makes it durable; it may be in use. AlreadyExists when something is
  // there.
  Status persist(const std::string& path);

  // Makes the volume and the file system on it larger; nothing to do when it is that large already. Not while a virtual
  // machine has it. Blocks for as long as a check of the file system takes.
  Status grow(std::uint32_t mib);

  // A descriptor of the same open file for the VMM: as long as it is open anywhere, the volume counts as in use.
  [[nodiscard]] Result<UniqueFd> descriptor() const;
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  friend class VolumeStore;
  Volume(UniqueFd file, std::uint64_t bytes) : file_(std::move(file)), bytes_(bytes) {}
  static Result<Volume> lock(UniqueFd file, const std::string& what);
  UniqueFd file_;
  std::uint64_t bytes_ = 0;
};

}  // namespace cofferdam::disk

// A snapshot in memory, for those parts of the manager that let workspaces grow from one.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workspace/manager_impl.h"
#include "workspace/snapshot_files.h"

namespace cofferdam::workspace {

// What is read of a snapshot to go on from it, as often as it was asked for.
struct ManagerImpl::Loaded {
  std::string folder;
  keys::Key key;
  SnapshotManifest manifest;
  std::shared_ptr<const vm::Saved> saved;
  std::optional<disk::VolumeStore::Source> disk;
  std::vector<disk::Volume> disks;  // copies of it, one for each that goes on from here
  std::optional<Error> failed;
};

}  // namespace cofferdam::workspace

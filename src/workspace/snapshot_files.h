// The files of one snapshot, in a folder of their own: a manifest, memory, devices, and a disk. All but the disk, which
// is an encrypted volume like any, are sealed files; one key opens them all.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "disk/volume.h"
#include "vm/machine.h"
#include "workspace/workspace_table.h"

namespace cofferdam::workspace {

// What must be known, and be the same again, to go on from a snapshot.
struct SnapshotManifest {
  std::string id;
  Record record;  // of the workspace, as it was, with its environment and what its machine was made of
  disk::VolumeFacts disk;
};

// All calls block. Their errors name the file that is missing (NotFound) or damaged (DataLoss).

std::string snapshot_disk_path(const std::string& folder);
// Memory and devices alone; on stable storage when it returns. `id` is what their errors call them by.
Status write_saved(const std::string& folder, const std::string& id, vm::SavedMachine& saved, const keys::Key& key);
// The same from what write_saved() wrote elsewhere.
Status copy_saved(const std::string& from, const std::string& from_id, const keys::Key& from_key, const std::string& to,
                  const std::string& id, const keys::Key& key);
// The rest of a snapshot whose memory, devices and disk are there. Answers the bytes of all four.
Result<std::uint64_t> finish_snapshot(const std::string& folder, const SnapshotManifest& manifest,
                                      const keys::Key& key);
// Everything but the disk; on stable storage when it returns. Answers the bytes of all four.
Result<std::uint64_t> write_snapshot(const std::string& folder, const SnapshotManifest& manifest,
                                     vm::SavedMachine& saved, const keys::Key& key);
Result<SnapshotManifest> read_manifest(const std::string& folder, const std::string& id, const keys::Key& key);
Result<std::shared_ptr<const vm::Saved>> read_saved(const std::string& folder, const SnapshotManifest& manifest,
                                                    const keys::Key& key);

// FailedPrecondition names all that is not as it was.
Status check_build(const std::map<std::string, std::string>& saved, const std::map<std::string, std::string>& now);

}  // namespace cofferdam::workspace

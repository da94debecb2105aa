// The durable rows of snapshots: what is listed. A row goes with its workspace's; what a snapshot holds lies in the
// workspace's folder (snapshot_files.h).
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "loop/task.h"
#include "workspace/snapshot.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::workspace {

using loop::Task;

class SnapshotTable {
 public:
  explicit SnapshotTable(store::Database& database) : database_(&database) {}  // which outlives it

  // Of one workspace, oldest first. What cannot be read is logged and left out.
  Task<std::vector<Snapshot>> list(std::string workspace_id) const;
  // Durable when it returns: only then is there a snapshot.
  Task<void> add(Snapshot snapshot) const;
  Task<void> remove(std::string workspace_id, std::string id) const;

 private:
  store::Database* database_;
};

std::string snapshot_to_text(const Snapshot& snapshot);
Result<Snapshot> snapshot_from_text(std::string_view text);

}  // namespace cofferdam::workspace

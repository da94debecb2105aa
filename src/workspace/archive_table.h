// The durable rows of archives. A row goes with its workspace's.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "loop/task.h"
#include "workspace/archive.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::workspace {

using loop::Task;

class ArchiveTable {
 public:
  explicit ArchiveTable(store::Database& database) : database_(&database) {}  // which outlives it

  // Of one workspace, oldest first. What cannot be read is logged and left out.
  Task<std::vector<Archive>> list(std::string workspace_id) const;
  // Durable when it returns.
  Task<void> add(Archive archive) const;
  Task<void> remove(std::string workspace_id, std::string id) const;

 private:
  store::Database* database_;
};

}  // namespace cofferdam::workspace

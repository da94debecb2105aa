// The durable rows of workloads. A row goes with its workspace's.
#pragma once
#include <string>
#include <vector>

#include "loop/task.h"
#include "workspace/workloads.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::workspace {

class WorkloadTable {
 public:
  explicit WorkloadTable(store::Database& database) : database_(&database) {}  // which outlives it

  // What cannot be read is logged and left out.
  Task<std::vector<Workload>> load() const;
  Task<void> write(Workload workload) const;
  Task<void> remove(std::string workspace_id, std::string id) const;

 private:
  store::Database* database_;
};

std::string workload_to_text(const Workload& workload);
Result<Workload> workload_from_text(std::string_view text);

}  // namespace cofferdam::workspace

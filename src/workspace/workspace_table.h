// The durable rows: what is known of each workspace. Its disk and its logs lie beside them, in STATE/workspaces/<id>/.
#pragma once
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "image/image_store.h"
#include "loop/task.h"
#include "loop/worker_pool.h"
#include "model/workspace_spec.h"
#include "model/workspace_state.h"
#include "store/connection.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::workspace {

using loop::Task;

// What becomes of a workspace when the command that runs in it has ended, or its client has gone.
enum class AfterExec { keep, remove };

// What is to change of a workspace's size.
struct Resources {
  std::optional<std::uint32_t> cpu_millis, memory_mib, disk_mib;
  bool operator==(const Resources&) const = default;
};

struct Record {
  std::string id;
  model::WorkspaceSpec spec;
  model::State state = model::State::creating;
  std::string detail;
  std::chrono::system_clock::time_point created_at, updated_at;
  std::optional<std::chrono::system_clock::time_point> started_at, expires_at;
  std::string hostname;
  std::string vm_id;
  bool from_pool = false;
  AfterExec after_exec = AfterExec::keep;
  std::string image_digest;
  image::ImageConfig image_config;  // kept here: the image may be gone while its machine still runs
  bool disk_kept = false;           // the disk has a name, and outlives its machine
  std::string disk_header;          // SHA-256 of its LUKS header
  std::string disk_key_id;
  std::map<std::string, std::string> build;  // what its machine was made of: vm::MachineDriver::build_of
  std::string asleep;                        // "sleep_…": its memory is on disk under this name, and no machine is left
  bool held = false;                         // nothing of it is deleted
  std::string hold_reason;
  bool isolated = false;    // it never has a network
  bool fixed_disk = false;  // its file system is of a former version, and cannot grow while it is mounted
  std::string sealed_env;   // spec.env, in a record that is written or was read
  std::optional<Resources> pending;
  std::uint32_t restarts = 0;  // by the restart policy, in a row
  std::string idempotency_key;
};

// Nothing but its machine would be left of it, and that ends with the host's power.
store::Durability durability_of(const Record& record);

// The workspace's environment is the guest's: in the database it is only under the workspace's key.
void seal_env(Record& record, const SecureBytes& key);  // without a key it is left out
Status unseal_env(Record& record, const SecureBytes& key);

std::string record_to_text(const Record& record);
Result<Record> record_from_text(std::string_view text);

struct StoredRecord {
  std::string id;         // the row's, or the folder's name
  Result<Record> record;  // an error when it cannot be read, or when there is only a folder
};

// Several workspaces at once are fine, one at a time for each. A row survives the host's power, but for that of a
// workspace that does not survive it either.
class WorkspaceTable {
 public:
  // All outlive the table and its copies.
  WorkspaceTable(std::string dir, store::Database& database, loop::WorkerPool& workers)
      : dir_(std::move(dir)), database_(&database), workers_(&workers) {}

  // Makes the table's folder, 0700, and takes over the records that former versions kept there as files. Blocks.
  Status open();
  Task<std::vector<StoredRecord>> load() const;
  // The old or the new record is found afterwards, never a half.
  Task<void> write(Record record, store::Durability durability) const;
  // The row, and before it the folder with all that is in it.
  Task<void> remove(std::string id, store::Durability durability) const;
  // What was removed is in no file of the database afterwards.
  Task<void> sweep() const;

  [[nodiscard]] std::string folder(const std::string& id) const;
  // Each disk has a name of its own: another one takes its place in one step, when the record names it.
  [[nodiscard]] std::string disk_path(const std::string& id, const std::string& key_id) const;
  // Blocks, on any thread.
  [[nodiscard]] Status make_folder(const std::string& id) const;

 private:
  std::string dir_;
  store::Database* database_;
  loop::WorkerPool* workers_;
};

// Of a database that was put back and that nobody has open yet; both run in the caller's transaction. Workspaces that
// were removed after it was copied: the next start clears away what is left of them. How many there were.
Result<bool> is_recorded(store::Connection& connection, const std::string& id);
Result<std::size_t> mark_removed(store::Connection& connection, const std::set<std::string>& ids);

}  // namespace cofferdam::workspace

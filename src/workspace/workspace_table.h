// The durable rows: what is known of each workspace, one JSON file each, STATE/workspaces/<id>/workspace.json.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/image_store.h"
#include "model/workspace_spec.h"
#include "model/workspace_state.h"

namespace cofferdam::workspace {

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
};

std::string record_to_text(const Record& record);
Result<Record> record_from_text(std::string_view text);

// Temporary workspaces need not survive the host's power: their machine does not. Permanent ones do.
enum class Durability { process_death, power_loss };

struct StoredRecord {
  std::string id;         // the folder's name
  Result<Record> record;  // an error when it cannot be read
};

// Calls block. Several workspaces at once are fine, one at a time for each.
class WorkspaceTable {
 public:
  explicit WorkspaceTable(std::string dir) : dir_(std::move(dir)) {}

  // Makes the table's folder, 0700.
  Status open();
  Result<std::vector<StoredRecord>> load() const;
  // Makes the workspace's folder when there is none; the old or the new record is found afterwards, never a half.
  Status write(const Record& record) const;
  // The folder with all that is in it.
  Status remove(const std::string& id) const;
  [[nodiscard]] std::string disk_path(const std::string& id) const;
  [[nodiscard]] Status make_folder(const std::string& id) const;

 private:
  [[nodiscard]] std::string folder(const std::string& id) const;
  std::string dir_;
};

}  // namespace cofferdam::workspace

// What the keys of a workspace are called in the key tree.
#pragma once
#include "base/text.h"
#include "keys/key_store.h"
#include "workspace/snapshot.h"
#include "workspace/workspace_table.h"

namespace cofferdam::workspace {

inline keys::KeyName disk_key_name(const Record& record) { return {record.id, cat("disk/", record.disk_key_id)}; }
inline keys::KeyName snapshot_key_name(const Snapshot& snapshot) {
  return {snapshot.workspace_id, cat("snapshot/", snapshot.id)};
}
inline constexpr std::string_view kSleepKey = "asleep/";
inline keys::KeyName sleep_key_name(const std::string& workspace_id, const std::string& sleep_id) {
  return {workspace_id, cat(kSleepKey, sleep_id)};
}

}  // namespace cofferdam::workspace

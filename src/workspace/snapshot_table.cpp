#include "workspace/snapshot_table.h"

#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "base/text.h"
#include "model/json.h"
#include "store/database.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

std::int64_t to_unix_ms(system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

Result<std::uint64_t> get_count(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number || !(*number >= 0) || *number > 1e15) return fail(Code::DataLoss, cat("'", field, "' is no count"));
  return static_cast<std::uint64_t>(*number);
}

Result<std::string> get_text(const json::object& object, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(object, "", field));
  if (!text) return fail(Code::DataLoss, cat("'", field, "' is missing"));
  return std::move(*text);
}

}  // namespace

std::string snapshot_to_text(const Snapshot& snapshot) {
  return json::serialize(json::object{{"id", snapshot.id},
                                      {"workspace_id", snapshot.workspace_id},
                                      {"created_at", to_unix_ms(snapshot.created_at)},
                                      {"bytes", snapshot.bytes},
                                      {"pause_us", snapshot.pause.count()},
                                      {"vcpus", snapshot.shape.vcpus},
                                      {"memory_mib", snapshot.shape.memory_mib},
                                      {"disk_mib", snapshot.disk_mib},
                                      {"image", snapshot.image}});
}

Result<Snapshot> snapshot_from_text(std::string_view text) {
  TRY_ASSIGN(const json::value value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the record is not an object");
  Snapshot snapshot;
  TRY_ASSIGN(snapshot.id, get_text(*object, "id"));
  TRY_ASSIGN(snapshot.workspace_id, get_text(*object, "workspace_id"));
  TRY_ASSIGN(snapshot.image, get_text(*object, "image"));
  TRY_ASSIGN(const auto created, get_count(*object, "created_at"));
  snapshot.created_at = system_clock::time_point(std::chrono::milliseconds(created));
  TRY_ASSIGN(snapshot.bytes, get_count(*object, "bytes"));
  TRY_ASSIGN(const auto pause, get_count(*object, "pause_us"));
  snapshot.pause = std::chrono::microseconds(pause);
  TRY_ASSIGN(const auto vcpus, get_count(*object, "vcpus"));
  TRY_ASSIGN(const auto memory, get_count(*object, "memory_mib"));
  TRY_ASSIGN(const auto disk, get_count(*object, "disk_mib"));
  if (vcpus > UINT32_MAX || memory > UINT32_MAX || disk > UINT32_MAX) return fail(Code::DataLoss, "it is too large");
  snapshot.shape.vcpus = static_cast<std::uint32_t>(vcpus);
  snapshot.shape.memory_mib = static_cast<std::uint32_t>(memory);
  snapshot.disk_mib = static_cast<std::uint32_t>(disk);
  return snapshot;
}

Task<std::vector<Snapshot>> SnapshotTable::list(std::string workspace_id) const {
  auto read = [workspace_id](store::Connection& connection) {
    return connection.query("SELECT id, record FROM snapshots WHERE workspace_id = $1 ORDER BY created_at, id",
                            {workspace_id});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_->run(std::move(read)));
  std::vector<Snapshot> all;
  for (const auto& row : rows) {
    auto snapshot = snapshot_from_text(row.text(1));
    if (snapshot && snapshot->workspace_id == workspace_id && snapshot->id == row.text(0)) {
      all.push_back(std::move(*snapshot));
    } else {
      log_error("the record of a snapshot cannot be read", {{"workspace", workspace_id}, {"snapshot", row.text(0)}});
    }
  }
  co_return all;
}

Task<void> SnapshotTable::add(Snapshot snapshot) const {
  store::Values row{snapshot.workspace_id, snapshot.id, to_unix_ms(snapshot.created_at), snapshot_to_text(snapshot)};
  auto work = [row = std::move(row)](store::Connection& connection) -> Status {
    TRY(connection.execute("INSERT INTO snapshots (workspace_id, id, created_at, record) VALUES ($1, $2, $3, $4)",
                           row));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> SnapshotTable::remove(std::string workspace_id, std::string id) const {
  auto work = [workspace_id = std::move(workspace_id), id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM snapshots WHERE workspace_id = $1 AND id = $2", {workspace_id, id}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

}  // namespace cofferdam::workspace

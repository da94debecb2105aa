#include "workspace/archive_table.h"

#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "model/json.h"
#include "store/database.h"
#include "workspace/record_json.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;

std::string to_text(const Archive& archive) {
  return json::serialize(json::object{{"id", archive.id},
                                      {"workspace_id", archive.workspace_id},
                                      {"version", archive.version},
                                      {"created_at", to_unix_ms(archive.created_at)},
                                      {"bytes", archive.bytes},
                                      {"paths", to_array(archive.paths)},
                                      {"excludes", to_array(archive.excludes)}});
}

Result<Archive> from_text(std::string_view text) {
  TRY_ASSIGN(const json::value value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the record is not an object");
  Archive archive;
  TRY_ASSIGN(archive.id, get_text(*object, "id"));
  TRY_ASSIGN(archive.workspace_id, get_text(*object, "workspace_id"));
  TRY_ASSIGN(archive.version, get_text(*object, "version"));
  TRY_ASSIGN(const auto created, get_time(*object, "created_at"));
  TRY_ASSIGN(const auto bytes, model::get_number(*object, "", "bytes"));
  if (archive.version.empty() || !created || !bytes || !(*bytes >= 0)) {
    return fail(Code::DataLoss, "the record lacks a part");
  }
  archive.created_at = *created;
  archive.bytes = static_cast<std::uint64_t>(*bytes);
  archive.paths = get_strings(*object, "paths");
  archive.excludes = get_strings(*object, "excludes");
  return archive;
}

}  // namespace

Task<std::vector<Archive>> ArchiveTable::list(std::string workspace_id) const {
  auto read = [workspace_id](store::Connection& connection) {
    return connection.query("SELECT id, record FROM archives WHERE workspace_id = $1 ORDER BY created_at, id",
                            {workspace_id});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_->run(std::move(read)));
  std::vector<Archive> all;
  for (const auto& row : rows) {
    auto archive = from_text(row.text(1));
    if (archive && archive->workspace_id == workspace_id && archive->id == row.text(0)) {
      all.push_back(std::move(*archive));
    } else {
      log_error("the record of an archive cannot be read", {{"workspace", workspace_id}, {"archive", row.text(0)}});
    }
  }
  co_return all;
}

Task<void> ArchiveTable::add(Archive archive) const {
  store::Values row{archive.workspace_id, archive.id, archive.version, to_unix_ms(archive.created_at),
                    to_text(archive)};
  auto work = [row = std::move(row)](store::Connection& connection) -> Status {
    TRY(connection.execute(
        "INSERT INTO archives (workspace_id, id, version, created_at, record) VALUES ($1, $2, $3, $4, $5)", row));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> ArchiveTable::remove(std::string workspace_id, std::string id) const {
  auto work = [workspace_id = std::move(workspace_id), id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM archives WHERE workspace_id = $1 AND id = $2", {workspace_id, id}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

}  // namespace cofferdam::workspace

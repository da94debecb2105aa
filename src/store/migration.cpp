#include "store/migration.h"

#include <map>

#include "base/log.h"
#include "base/text.h"
#include "store/transaction.h"

namespace cofferdam::store {
namespace {

using Versions = std::map<std::string, std::int64_t, std::less<>>;

Result<Versions> versions_in(Connection& connection) {
  Versions versions;
  TRY_ASSIGN(const bool known, connection.has_table("schema_versions"));
  if (!known) return versions;
  TRY_ASSIGN(const auto rows, connection.query("SELECT room, version FROM schema_versions"));
  for (const auto& row : rows) versions[row.text(0)] = row.integer(1);
  return versions;
}

Result<Versions> newest_of(const Schema& schema) {
  Versions newest;
  for (const auto& step : schema) {
    auto& version = newest[std::string(step.room)];
    if (step.version != version + 1) {
      return fail(Code::Internal,
                  cat("the tables of ", step.room, " have no step ", version + 1, " before step ", step.version));
    }
    version = step.version;
  }
  return newest;
}

std::int64_t steps_of(const Versions& versions) {
  std::int64_t steps = 0;
  for (const auto& [room, version] : versions) steps += version;
  return steps;
}

Status apply(Connection& connection, const Schema& schema, const Versions& present) {
  TRY(connection.execute(
      "CREATE TABLE IF NOT EXISTS schema_versions (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"));
  for (const auto& step : schema) {
    const auto found = present.find(step.room);
    if (found != present.end() && found->second >= step.version) continue;
    auto done = connection.execute_script(step.sql);
    if (!done) return fail(std::move(done.error()).in(cat("step ", step.version, " of the tables of ", step.room)));
    TRY(
        connection.execute("INSERT INTO schema_versions (room, version) VALUES ($1, $2) "
                           "ON CONFLICT (room) DO UPDATE SET version = excluded.version",
                           {std::string(step.room), step.version}));
  }
  return {};
}

}  // namespace

Schema join(std::initializer_list<std::span<const Migration>> rooms) {
  Schema schema;
  for (const auto& room : rooms) schema.insert(schema.end(), room.begin(), room.end());
  return schema;
}

Status check_not_newer(Connection& connection, const Schema& schema) {
  TRY_ASSIGN(const auto known, newest_of(schema));
  TRY_ASSIGN(const auto present, versions_in(connection));
  for (const auto& [room, version] : present) {
    const auto found = known.find(room);
    const std::int64_t newest = found == known.end() ? 0 : found->second;
    if (version <= newest) continue;
    return fail(Code::FailedPrecondition,
                cat("the database '", connection.name(), "' was written by a newer cofferdam: its tables of ", room,
                    " are at version ", version, ", this program knows ", newest),
                "start the newer program, or put back the copy it made before it changed the database (….before-N)");
  }
  return {};
}

Status migrate(Connection& connection, const Schema& schema, const std::string& backup_prefix) {
  TRY(check_not_newer(connection, schema));
  TRY_ASSIGN(const auto newest, newest_of(schema));
  TRY_ASSIGN(const auto present, versions_in(connection));
  if (steps_of(present) == steps_of(newest)) return {};
  if (!present.empty()) {
    const auto copy = cat(backup_prefix, steps_of(newest));
    TRY(connection.back_up(copy));
    log_info("the database is brought to a new version", {{"copy_of_the_old", copy}});
  }
  auto steps = [&](Connection& c) -> Status { return apply(c, schema, present); };
  auto done = in_transaction(connection, steps);
  if (!done) return fail(std::move(done.error()).in(cat("database '", connection.name(), "'")));
  return {};
}

}  // namespace cofferdam::store

#include "incident/schema.h"

#include <array>

namespace cofferdam::incident {
namespace {

// Times are milliseconds since 1970. An incident outlives its workspace. `record` is the whole as JSON. Of drills a
// workspace has its last.
constexpr std::array<store::Migration, 2> kMigrations{{{"incident", 1, R"sql(
CREATE TABLE incidents (
  id TEXT PRIMARY KEY,
  workspace_id TEXT NOT NULL,
  began_at INTEGER NOT NULL,
  released_at INTEGER,
  record TEXT NOT NULL
) STRICT;
CREATE INDEX incidents_of ON incidents (workspace_id, began_at);
CREATE UNIQUE INDEX open_incidents ON incidents (workspace_id) WHERE released_at IS NULL;
)sql"},
                                                       {"incident", 2, R"sql(
CREATE TABLE drills (workspace_id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE ready_checks (workspace_id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
)sql"}}};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::incident

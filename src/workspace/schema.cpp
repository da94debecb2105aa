#include "workspace/schema.h"

#include <array>

namespace cofferdam::workspace {
namespace {

// Times are milliseconds since 1970. `record` is the whole of a workspace or workload as JSON; the columns beside it
// are what is looked for by hand.
constexpr std::array<store::Migration, 3> kMigrations{{{"workspace", 1, R"sql(
CREATE TABLE workspaces (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  slug TEXT NOT NULL,
  namespace_id TEXT NOT NULL,
  mode TEXT NOT NULL,
  state TEXT NOT NULL,
  idempotency_key TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT;
CREATE INDEX workspaces_of_a_namespace ON workspaces (namespace_id);
CREATE UNIQUE INDEX workspace_slugs ON workspaces (slug) WHERE slug <> '';
CREATE UNIQUE INDEX workspace_keys ON workspaces (namespace_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE workloads (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
) STRICT;
)sql"},
                                                       {"workspace", 2, R"sql(
CREATE TABLE snapshots (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
) STRICT;
)sql"},
                                                       {"workspace", 3, R"sql(
CREATE TABLE archives (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  version TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id),
  UNIQUE (workspace_id, version)
) STRICT;
)sql"}}};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::workspace

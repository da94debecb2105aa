#include "net/schema.h"

#include <array>

namespace cofferdam::net {
namespace {

// Times are milliseconds since 1970, those of flows microseconds. Flows outlive their workspace.
constexpr std::array<store::Migration, 3> kMigrations{{{"net", 1, R"sql(
CREATE TABLE networks (
  workspace_id TEXT PRIMARY KEY REFERENCES workspaces (id) ON DELETE CASCADE,
  pair INTEGER UNIQUE,
  internet INTEGER NOT NULL,
  entries TEXT NOT NULL,
  ports TEXT NOT NULL,
  ingress_ports TEXT NOT NULL
) STRICT;
CREATE TABLE links (
  id TEXT PRIMARY KEY,
  source TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  target TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  ports TEXT NOT NULL,
  note TEXT NOT NULL,
  expires_at INTEGER,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL
) STRICT;
CREATE INDEX links_from ON links (source);
CREATE INDEX links_to ON links (target);
CREATE TABLE exposures (
  workspace_id TEXT NOT NULL REFERENCES workspaces (id) ON DELETE CASCADE,
  port INTEGER NOT NULL,
  slug TEXT NOT NULL UNIQUE,
  label TEXT NOT NULL,
  token_digest TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (workspace_id, port)
) STRICT;
CREATE TABLE flows (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  workspace_id TEXT NOT NULL,
  flow INTEGER NOT NULL,
  kind TEXT NOT NULL,
  event TEXT NOT NULL,
  reason TEXT NOT NULL,
  time INTEGER NOT NULL,
  name TEXT NOT NULL,
  address TEXT NOT NULL,
  port INTEGER NOT NULL,
  peer TEXT NOT NULL,
  bytes_out INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL,
  duration INTEGER NOT NULL,
  omitted INTEGER NOT NULL
) STRICT;
CREATE INDEX flows_of ON flows (workspace_id, number);
)sql"},
                                                       {"net", 2, R"sql(
ALTER TABLE networks ADD COLUMN proxy_host TEXT;
ALTER TABLE networks ADD COLUMN proxy_port INTEGER;
ALTER TABLE networks ADD COLUMN proxy_resolves INTEGER;
ALTER TABLE networks ADD COLUMN proxy_login BLOB;
)sql"},
                                                       {"net", 3, R"sql(
ALTER TABLE flows ADD COLUMN via TEXT NOT NULL DEFAULT '';
)sql"}}};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::net

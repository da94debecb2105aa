#include "identity/schema.h"

#include <array>

namespace cofferdam::identity {
namespace {

// Times are milliseconds since 1970. Scopes, verbs and sources are kept in the text forms of grant.h. Only keyed hashes
// of credentials are here, and only cipher text of secrets.
constexpr std::array<store::Migration, 1> kMigrations{{{"identity", 1, R"sql(
CREATE TABLE identity_keys (
  name TEXT PRIMARY KEY,
  proof BLOB NOT NULL
) STRICT;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  scope TEXT NOT NULL,
  verbs TEXT NOT NULL,
  sources TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  generation INTEGER NOT NULL,
  last_used_at INTEGER,
  revoked_at INTEGER
) STRICT;

CREATE TABLE token_secrets (
  mac BLOB PRIMARY KEY,
  token_id TEXT NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
  generation INTEGER NOT NULL,
  valid_until INTEGER
) STRICT;
CREATE INDEX token_secrets_of_a_token ON token_secrets (token_id);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  mac BLOB NOT NULL,
  scope TEXT NOT NULL,
  verbs TEXT NOT NULL,
  label TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  last_used_at INTEGER
) STRICT;

CREATE TABLE namespaces (
  id TEXT PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  is_default INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  tags TEXT NOT NULL,
  max_workspaces INTEGER,
  max_vcpus INTEGER,
  max_ram_mb INTEGER,
  max_disk_gb INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_active_at INTEGER
) STRICT;
CREATE UNIQUE INDEX one_default_namespace ON namespaces (is_default) WHERE is_default = 1;

CREATE TABLE namespace_activity (
  namespace_id TEXT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
  id INTEGER NOT NULL,
  action TEXT NOT NULL,
  description TEXT NOT NULL,
  changes TEXT NOT NULL,
  user_id TEXT NOT NULL,
  ip_address TEXT NOT NULL,
  user_agent TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (namespace_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE secrets (
  namespace_id TEXT NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  sealed BLOB NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (namespace_id, name)
) STRICT;
)sql"}}};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::identity

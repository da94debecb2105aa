#include "keys/schema.h"

namespace cofferdam::keys {
namespace {

// Times are milliseconds since 1970.
constexpr store::Migration kMigrations[] = {
    {"keys", 1,
     "CREATE TABLE receipts (id TEXT PRIMARY KEY, workspace_id TEXT NOT NULL, namespace_id TEXT NOT NULL,"
     " issued_at INTEGER NOT NULL, body TEXT NOT NULL) STRICT;"
     "CREATE INDEX receipts_of_a_workspace ON receipts (workspace_id, id);"
     "CREATE INDEX receipts_of_a_namespace ON receipts (namespace_id, id)"},
};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::keys

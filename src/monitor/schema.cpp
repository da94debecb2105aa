#include "monitor/schema.h"

namespace cofferdam::monitor {
namespace {

// Times are milliseconds since 1970. An entry without next_try_at has ended.
constexpr store::Migration kMigrations[] = {
    {"monitor", 1,
     "CREATE TABLE webhooks (id INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, events TEXT NOT NULL,"
     " active INTEGER NOT NULL, description TEXT, namespace_id TEXT, secret BLOB, created_at INTEGER NOT NULL,"
     " last_triggered_at INTEGER, last_status_code INTEGER) STRICT;"
     "CREATE TABLE webhook_deliveries (id TEXT PRIMARY KEY, webhook_id INTEGER NOT NULL REFERENCES webhooks (id),"
     " event TEXT NOT NULL, body TEXT NOT NULL, tries INTEGER NOT NULL, next_try_at INTEGER, delivered INTEGER NOT "
     "NULL,"
     " status_code INTEGER, error TEXT, created_at INTEGER NOT NULL, tried_at INTEGER) STRICT;"
     "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_try_at) WHERE next_try_at IS NOT NULL;"
     "CREATE INDEX webhook_deliveries_of ON webhook_deliveries (webhook_id, created_at)"},
};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::monitor

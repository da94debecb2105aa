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
    // scope: a workspace's id, or "ns:" and a namespace's.
    {"monitor", 2,
     "CREATE TABLE usage (scope TEXT NOT NULL, period TEXT NOT NULL, start INTEGER NOT NULL, cpu_ms INTEGER NOT NULL,"
     " vcpu_ms INTEGER NOT NULL, memory_mib_s INTEGER NOT NULL, running_ms INTEGER NOT NULL,"
     " disk_read_bytes INTEGER NOT NULL, disk_written_bytes INTEGER NOT NULL, net_in_bytes INTEGER NOT NULL,"
     " net_out_bytes INTEGER NOT NULL, samples INTEGER NOT NULL, PRIMARY KEY (scope, period, start)) STRICT,"
     " WITHOUT ROWID;"
     "CREATE TABLE usage_counters (workspace_id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, cpu_ms INTEGER NOT NULL,"
     " disk_read_bytes INTEGER NOT NULL, disk_written_bytes INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE usage_untracked (workspace_id TEXT PRIMARY KEY) STRICT;"
     "CREATE TABLE credit_quotas (namespace_id TEXT NOT NULL, service TEXT NOT NULL, quota REAL NOT NULL,"
     " overdraft REAL NOT NULL, action TEXT NOT NULL, thresholds TEXT NOT NULL, used REAL NOT NULL,"
     " since INTEGER NOT NULL, told INTEGER NOT NULL, PRIMARY KEY (namespace_id, service)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE credit_defaults (service TEXT PRIMARY KEY, quota REAL NOT NULL, auto_apply INTEGER NOT NULL)"
     " STRICT"},
    {"monitor", 3,
     "CREATE TABLE watch_history (workspace_id TEXT NOT NULL, span TEXT NOT NULL, start INTEGER NOT NULL,"
     " samples INTEGER NOT NULL, passed_ms INTEGER NOT NULL, cpu_ms INTEGER NOT NULL, cpu_peak REAL NOT NULL,"
     " memory_peak INTEGER NOT NULL, disk_allocated INTEGER NOT NULL, disk_read INTEGER NOT NULL,"
     " disk_written INTEGER NOT NULL, net_out INTEGER NOT NULL, net_in INTEGER NOT NULL, opened INTEGER NOT NULL,"
     " refused INTEGER NOT NULL, PRIMARY KEY (workspace_id, span, start)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX watch_history_by_age ON watch_history (span, start);"
     "CREATE TABLE watch_destinations (workspace_id TEXT NOT NULL, name TEXT NOT NULL, first INTEGER NOT NULL,"
     " last INTEGER NOT NULL, opened INTEGER NOT NULL, bytes_out INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
     " PRIMARY KEY (workspace_id, name)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE watch_credentials (credential TEXT NOT NULL, address TEXT NOT NULL, first INTEGER NOT NULL,"
     " PRIMARY KEY (credential, address)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE alerts (id TEXT PRIMARY KEY, rule TEXT NOT NULL, workspace_id TEXT NOT NULL,"
     " workspace_name TEXT NOT NULL, namespace_id TEXT NOT NULL, about TEXT NOT NULL, cause TEXT NOT NULL,"
     " evidence TEXT NOT NULL, next TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,"
     " times INTEGER NOT NULL, action TEXT NOT NULL, acknowledged_at INTEGER, acknowledged_by TEXT) STRICT;"
     "CREATE INDEX alerts_by_time ON alerts (first)"},
};

}  // namespace

std::span<const store::Migration> migrations() { return kMigrations; }

}  // namespace cofferdam::monitor

#include "net/exposure.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"

namespace cofferdam::net {
namespace {

constexpr std::pair<std::uint16_t, const char*> kDatabases[] = {
    {1433, "SQL Server"},    {1521, "Oracle"},     {2379, "etcd"},       {3050, "Firebird"},
    {3306, "MySQL"},         {33060, "MySQL"},     {4222, "NATS"},       {5432, "PostgreSQL"},
    {5433, "PostgreSQL"},    {5984, "CouchDB"},    {6333, "Qdrant"},     {6379, "Redis"},
    {6380, "Redis"},         {6432, "PgBouncer"},  {7000, "Cassandra"},  {7474, "Neo4j"},
    {7687, "Neo4j"},         {8086, "InfluxDB"},   {8123, "ClickHouse"}, {8529, "ArangoDB"},
    {9000, "ClickHouse"},    {9042, "Cassandra"},  {9092, "Kafka"},      {9200, "Elasticsearch"},
    {9300, "Elasticsearch"}, {11211, "Memcached"}, {19530, "Milvus"},    {26257, "CockroachDB"},
    {27017, "MongoDB"},      {27018, "MongoDB"},   {27019, "MongoDB"},   {28015, "RethinkDB"},
    {50000, "Db2"},
};

}  // namespace

const char* database_of_port(std::uint16_t port) {
  const auto* found = std::find_if(std::begin(kDatabases), std::end(kDatabases),
                                   [port](const auto& item) { return item.first == port; });
  return found == std::end(kDatabases) ? nullptr : found->second;
}

Status may_expose(std::uint16_t port, Marked marked, const std::optional<model::ForceExpose>& force) {
  if (marked == Marked::as_database) {
    return fail(Code::FailedPrecondition,
                cat("port ", port, " cannot be exposed: the workspace is marked as a database, and those never are"),
                "reach it from another workspace: coffer link add FROM TO:PORT");
  }
  const char* database = database_of_port(port);
  if (database == nullptr || force) return {};
  return fail(Code::FailedPrecondition,
              cat("port ", port, " is ", database, "'s, and a database does not belong on the internet"),
              "reach it from another workspace (coffer link add FROM TO:PORT), or from here (coffer port-forward); if "
              "it is something else, say so with force");
}

}  // namespace cofferdam::net

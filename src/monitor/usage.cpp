#include "monitor/usage.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;
using identity::from_unix_ms;
using identity::to_unix_ms;

constexpr double kMsPerHour = 3'600'000.0;
constexpr std::string_view kOfNamespace = "ns:";  // ids of workspaces have no colon
constexpr std::string_view kSums =
    "SUM(cpu_ms), SUM(vcpu_ms), SUM(memory_mib_s), SUM(running_ms), SUM(disk_read_bytes), SUM(disk_written_bytes), "
    "SUM(net_in_bytes), SUM(net_out_bytes), SUM(samples)";

std::string period_name(Period period) { return period == Period::hour ? "hour" : "day"; }

std::int64_t start_of(Period period, Time time) {
  if (period == Period::hour) return to_unix_ms(std::chrono::floor<std::chrono::hours>(time));
  return to_unix_ms(std::chrono::floor<std::chrono::days>(time));
}

std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, INT64_MAX / 2));
}

Usage read_usage(const store::Row& row, std::size_t first) {
  const auto next = [&row, &first] {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(row.find_integer(first++).value_or(0), 0));
  };
  Usage usage;
  for (std::uint64_t* field :
       {&usage.cpu_ms, &usage.vcpu_ms, &usage.memory_mib_s, &usage.running_ms, &usage.disk_read_bytes,
        &usage.disk_written_bytes, &usage.net_in_bytes, &usage.net_out_bytes, &usage.samples}) {
    *field = next();
  }
  return usage;
}

Status add_to(store::Connection& connection, const std::string& scope, Period period, Time now, const Usage& usage) {
  TRY(connection.execute(
      "INSERT INTO usage (scope, period, start, cpu_ms, vcpu_ms, memory_mib_s, running_ms, disk_read_bytes, "
      "disk_written_bytes, net_in_bytes, net_out_bytes, samples) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
      "$12) ON CONFLICT (scope, period, start) DO UPDATE SET cpu_ms = cpu_ms + excluded.cpu_ms, vcpu_ms = vcpu_ms + "
      "excluded.vcpu_ms, memory_mib_s = memory_mib_s + excluded.memory_mib_s, running_ms = running_ms + "
      "excluded.running_ms, disk_read_bytes = disk_read_bytes + excluded.disk_read_bytes, disk_written_bytes = "
      "disk_written_bytes + excluded.disk_written_bytes, net_in_bytes = net_in_bytes + excluded.net_in_bytes, "
      "net_out_bytes = net_out_bytes + excluded.net_out_bytes, samples = samples + excluded.samples",
      {scope, period_name(period), start_of(period, now), whole(usage.cpu_ms), whole(usage.vcpu_ms),
       whole(usage.memory_mib_s), whole(usage.running_ms), whole(usage.disk_read_bytes),
       whole(usage.disk_written_bytes), whole(usage.net_in_bytes), whole(usage.net_out_bytes), whole(usage.samples)}));
  return {};
}

Status add_all(store::Connection& connection, const std::vector<UsageSample>& samples,
               const std::set<std::string>& untracked, Time now) {
  for (const auto& sample : samples) {
    for (const auto period : {Period::hour, Period::day}) {
      TRY(add_to(connection, cat(kOfNamespace, sample.namespace_id), period, now, sample.usage));
      if (sample.gone || untracked.contains(sample.workspace_id)) continue;
      TRY(add_to(connection, sample.workspace_id, period, now, sample.usage));
    }
    if (sample.gone) continue;
    const auto& counters = sample.counters;
    TRY(connection.execute(
        "INSERT INTO usage_counters (workspace_id, vm_id, cpu_ms, disk_read_bytes, "
        "disk_written_bytes, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id) DO "
        "UPDATE SET vm_id = excluded.vm_id, cpu_ms = excluded.cpu_ms, disk_read_bytes = "
        "excluded.disk_read_bytes, disk_written_bytes = excluded.disk_written_bytes, at = excluded.at",
        {sample.workspace_id, counters.vm_id, whole(counters.cpu_ms), whole(counters.disk_read_bytes),
         whole(counters.disk_written_bytes), to_unix_ms(counters.at)}));
  }
  TRY(connection.execute("DELETE FROM usage WHERE period = 'hour' AND start < $1",
                         {to_unix_ms(now - UsageHistory::kHoursKept)}));
  TRY(connection.execute("DELETE FROM usage WHERE period = 'day' AND start < $1",
                         {to_unix_ms(now - UsageHistory::kDaysKept)}));
  return {};
}

}  // namespace

Usage& Usage::operator+=(const Usage& more) {
  cpu_ms += more.cpu_ms;
  vcpu_ms += more.vcpu_ms;
  memory_mib_s += more.memory_mib_s;
  running_ms += more.running_ms;
  disk_read_bytes += more.disk_read_bytes;
  disk_written_bytes += more.disk_written_bytes;
  net_in_bytes += more.net_in_bytes;
  net_out_bytes += more.net_out_bytes;
  samples += more.samples;
  return *this;
}

double Usage::credits() const { return static_cast<double>(vcpu_ms) / kMsPerHour; }

Result<std::unique_ptr<UsageHistory>> UsageHistory::open(store::Database& database, identity::Clock clock) {
  std::unique_ptr<UsageHistory> history(new UsageHistory(database, std::move(clock)));
  auto load = [&history](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto counters, connection.query("SELECT workspace_id, vm_id, cpu_ms, disk_read_bytes, "
                                                     "disk_written_bytes, at FROM usage_counters"));
    for (const auto& row : counters) {
      history->counters_[row.text(0)] = {row.text(1), static_cast<std::uint64_t>(row.integer(2)),
                                         static_cast<std::uint64_t>(row.integer(3)),
                                         static_cast<std::uint64_t>(row.integer(4)), from_unix_ms(row.integer(5))};
    }
    TRY_ASSIGN(const auto untracked, connection.query("SELECT workspace_id FROM usage_untracked"));
    for (const auto& row : untracked) history->untracked_.insert(row.text(0));
    return {};
  };
  TRY(database.run_now(std::move(load)));
  return history;
}

Task<void> UsageHistory::add(std::vector<UsageSample> samples) {
  if (samples.empty()) co_return Status{};
  for (const auto& sample : samples) {
    if (!sample.gone) counters_[sample.workspace_id] = sample.counters;
  }
  auto work = [samples = std::move(samples), untracked = untracked_, now = clock_.now()](
                  store::Connection& connection) { return add_all(connection, samples, untracked, now); };
  // What a host that lost its power forgets is some seconds of figures.
  co_return co_await database_.run(std::move(work), store::Durability::process_death);
}

void UsageHistory::rests(const std::string& workspace_id) {
  if (const auto found = counters_.find(workspace_id); found != counters_.end()) found->second.at = clock_.now();
}

std::optional<Counters> UsageHistory::last_counters(const std::string& workspace_id) const {
  const auto found = counters_.find(workspace_id);
  return found == counters_.end() ? std::nullopt : std::optional(found->second);
}

Task<std::vector<Bucket>> UsageHistory::of(std::string scope, Period period, Time from, Time to) {
  auto work = [scope = std::move(scope), period, from, to](store::Connection& connection) {
    return connection.query(
        "SELECT start, cpu_ms, vcpu_ms, memory_mib_s, running_ms, disk_read_bytes, "
        "disk_written_bytes, net_in_bytes, net_out_bytes, samples FROM usage WHERE scope = $1 AND "
        "period = $2 AND start >= $3 AND start < $4 ORDER BY start",
        {scope, period_name(period), to_unix_ms(from), to_unix_ms(to)});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(work)));
  std::vector<Bucket> buckets;
  buckets.reserve(rows.size());
  for (const auto& row : rows) buckets.push_back({from_unix_ms(row.integer(0)), read_usage(row, 1)});
  co_return buckets;
}

Task<std::vector<Bucket>> UsageHistory::of_workspace(std::string id, Period period, Time from, Time to) {
  return of(std::move(id), period, from, to);
}

Task<std::vector<Bucket>> UsageHistory::of_namespace(const std::string& id, Period period, Time from, Time to) {
  return of(cat(kOfNamespace, id), period, from, to);
}

Task<Usage> UsageHistory::total_of_workspace(std::string id) {
  auto work = [id = std::move(id)](store::Connection& connection) {
    static const std::string kQuery = cat("SELECT ", kSums, " FROM usage WHERE scope = $1 AND period = 'day'");
    return connection.query(kQuery, {id});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(work)));
  co_return rows.empty() ? Usage{} : read_usage(rows.front(), 0);
}

Task<std::map<std::string, Usage>> UsageHistory::totals_of_workspaces() {
  auto work = [](store::Connection& connection) {
    static const std::string kQuery =
        cat("SELECT scope, ", kSums, " FROM usage WHERE period = 'day' AND scope NOT LIKE 'ns:%' GROUP BY scope");
    return connection.query(kQuery);
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(work)));
  std::map<std::string, Usage> totals;
  for (const auto& row : rows) totals[row.text(0)] = read_usage(row, 1);
  co_return totals;
}

Task<std::int64_t> UsageHistory::wipe(std::string workspace_id) {
  auto work = [id = std::move(workspace_id)](store::Connection& connection) {
    return connection.execute("DELETE FROM usage WHERE scope = $1", {id});
  };
  co_return co_await database_.run(std::move(work));
}

Task<void> UsageHistory::track(std::string workspace_id, Tracking tracking) {
  if (tracking == Tracking::on) untracked_.erase(workspace_id);
  if (tracking == Tracking::off) untracked_.insert(workspace_id);
  auto work = [id = std::move(workspace_id), tracking](store::Connection& connection) -> Status {
    if (tracking == Tracking::on) {
      TRY(connection.execute("DELETE FROM usage_untracked WHERE workspace_id = $1", {id}));
      return {};
    }
    TRY(connection.execute("INSERT INTO usage_untracked (workspace_id) VALUES ($1) ON CONFLICT DO NOTHING", {id}));
    return {};
  };
  co_return co_await database_.run(std::move(work));
}

UsageHistory::Tracking UsageHistory::tracking(const std::string& workspace_id) const {
  return untracked_.contains(workspace_id) ? Tracking::off : Tracking::on;
}

Task<void> UsageHistory::forget_workspace(std::string id) {
  // Most have lived too short to be measured: nothing is asked of the database for them.
  if (counters_.erase(id) + untracked_.erase(id) == 0) co_return Status{};
  auto work = [id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM usage WHERE scope = $1", {id}));
    TRY(connection.execute("DELETE FROM usage_counters WHERE workspace_id = $1", {id}));
    TRY(connection.execute("DELETE FROM usage_untracked WHERE workspace_id = $1", {id}));
    return {};
  };
  co_return co_await database_.run(std::move(work), store::Durability::process_death);
}

Task<void> UsageHistory::forget_namespace(std::string id) {
  auto work = [scope = cat(kOfNamespace, id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM usage WHERE scope = $1", {scope}));
    return {};
  };
  co_return co_await database_.run(std::move(work));
}

}  // namespace cofferdam::monitor

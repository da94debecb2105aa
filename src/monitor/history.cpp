#include "monitor/history.h"

#include <algorithm>

namespace cofferdam::monitor {
namespace {

using identity::from_unix_ms;
using identity::to_unix_ms;

std::string span_name(Span span) { return span == Span::minute ? "minute" : "hour"; }

std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, INT64_MAX / 2));
}

Status add_to(store::Connection& connection, const std::string& workspace, Span span, const Rollup& more) {
  const auto start =
      span == Span::minute ? to_unix_ms(more.start) : to_unix_ms(std::chrono::floor<std::chrono::hours>(more.start));
  TRY(connection.execute(
      "INSERT INTO watch_history (workspace_id, span, start, samples, passed_ms, cpu_ms, cpu_peak, memory_peak, "
      "disk_allocated, disk_read, disk_written, net_out, net_in, opened, refused) VALUES ($1, $2, $3, $4, $5, $6, $7, "
      "$8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (workspace_id, span, start) DO UPDATE SET samples = samples + "
      "excluded.samples, passed_ms = passed_ms + excluded.passed_ms, cpu_ms = cpu_ms + excluded.cpu_ms, cpu_peak = "
      "max(cpu_peak, excluded.cpu_peak), memory_peak = max(memory_peak, excluded.memory_peak), disk_allocated = "
      "excluded.disk_allocated, disk_read = disk_read + excluded.disk_read, disk_written = disk_written + "
      "excluded.disk_written, net_out = net_out + excluded.net_out, net_in = net_in + excluded.net_in, opened = opened "
      "+ excluded.opened, refused = refused + excluded.refused",
      {workspace, span_name(span), start, whole(more.samples), whole(more.passed_ms), whole(more.cpu_ms),
       more.cpu_peak_percent, whole(more.memory_peak_bytes), whole(more.disk_allocated_bytes),
       whole(more.disk_read_bytes), whole(more.disk_written_bytes), whole(more.net_out_bytes), whole(more.net_in_bytes),
       whole(more.opened), whole(more.refused)}));
  return {};
}

Rollup read_rollup(const store::Row& row) {
  const auto number = [&row](std::size_t column) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(row.integer(column), 0));
  };
  Rollup rollup;
  rollup.start = from_unix_ms(row.integer(0));
  rollup.samples = number(1);
  rollup.passed_ms = number(2);
  rollup.cpu_ms = number(3);
  rollup.cpu_peak_percent = row.real(4);
  rollup.memory_peak_bytes = number(5);
  rollup.disk_allocated_bytes = number(6);
  rollup.disk_read_bytes = number(7);
  rollup.disk_written_bytes = number(8);
  rollup.net_out_bytes = number(9);
  rollup.net_in_bytes = number(10);
  rollup.opened = number(11);
  rollup.refused = number(12);
  return rollup;
}

}  // namespace

void Rollup::add(const Sample& sample) {
  ++samples;
  passed_ms += static_cast<std::uint64_t>(sample.passed.count());
  cpu_ms += sample.cpu_ms;
  cpu_peak_percent = std::max(cpu_peak_percent, sample.cpu_percent);
  memory_peak_bytes = std::max(memory_peak_bytes, sample.memory_bytes);
  disk_allocated_bytes = sample.disk_allocated_bytes;
  disk_read_bytes += sample.disk_read_bytes;
  disk_written_bytes += sample.disk_written_bytes;
  net_out_bytes += sample.net_out_bytes;
  net_in_bytes += sample.net_in_bytes;
  opened += sample.opened;
  refused += sample.refused;
}

void History::add(const std::string& workspace, const Sample& sample) {
  auto& ring = seconds_[workspace];
  ring.push_back(sample);
  if (ring.size() > kSeconds) ring.pop_front();
  const Time minute = std::chrono::floor<std::chrono::minutes>(sample.time);
  auto& rollup = unwritten_[{workspace, to_unix_ms(minute)}];
  rollup.start = minute;
  rollup.add(sample);
}

const std::deque<Sample>& History::seconds(const std::string& workspace) const {
  static const std::deque<Sample> kNone;
  const auto found = seconds_.find(workspace);
  return found == seconds_.end() ? kNone : found->second;
}

Task<std::vector<Rollup>> History::rolled_up(std::string workspace, Span span, Time from, Time to, std::size_t limit) {
  CO_TRY(co_await flush());
  auto read = [workspace = std::move(workspace), span, from, to, limit](store::Connection& connection) {
    return connection.query(
        "SELECT start, samples, passed_ms, cpu_ms, cpu_peak, memory_peak, disk_allocated, disk_read, disk_written, "
        "net_out, net_in, opened, refused FROM watch_history WHERE workspace_id = $1 AND span = $2 AND start >= $3 AND "
        "start < $4 ORDER BY start DESC LIMIT $5",
        {workspace, span_name(span), to_unix_ms(from), to_unix_ms(to), static_cast<std::int64_t>(limit)});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  std::vector<Rollup> rollups;
  rollups.reserve(rows.size());
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) rollups.push_back(read_rollup(*row));
  co_return rollups;
}

Task<void> History::flush() {
  if (unwritten_.empty()) co_return Status{};
  auto write = [rollups = std::exchange(unwritten_, {}), now = clock_.now()](store::Connection& connection) -> Status {
    for (const auto& [key, rollup] : rollups) {
      TRY(add_to(connection, key.first, Span::minute, rollup));
      TRY(add_to(connection, key.first, Span::hour, rollup));
    }
    TRY(connection.execute("DELETE FROM watch_history WHERE span = 'minute' AND start < $1",
                           {to_unix_ms(now - kMinutesKept)}));
    TRY(connection.execute("DELETE FROM watch_history WHERE span = 'hour' AND start < $1",
                           {to_unix_ms(now - kHoursKept)}));
    return {};
  };
  co_return co_await database_.run(std::move(write), store::Durability::process_death);
}

Task<void> History::forget(std::string workspace) {
  seconds_.erase(workspace);
  std::erase_if(unwritten_, [&](const auto& item) { return item.first.first == workspace; });
  auto remove = [workspace = std::move(workspace)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM watch_history WHERE workspace_id = $1", {workspace}));
    return {};
  };
  co_return co_await database_.run(std::move(remove), store::Durability::process_death);
}

}  // namespace cofferdam::monitor

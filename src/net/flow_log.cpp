#include "net/flow_log.h"

#include <algorithm>

#include "base/log.h"
#include "store/database.h"

namespace cofferdam::net {
namespace {

constexpr std::chrono::milliseconds kGather{500};
constexpr std::size_t kMostAtOnce = 2048;
constexpr std::size_t kPruneEvery = 50'000;
constexpr std::size_t kPruneOneEvery = 2'000;

std::uint64_t now_us() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

// Counters of hostile size stay numbers of the database.
std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, INT64_MAX));
}

constexpr std::string_view kInsert =
    "INSERT INTO flows (workspace_id, flow, kind, event, reason, time, name, address, port, peer, bytes_out, bytes_in, "
    "duration, omitted, via) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
constexpr std::string_view kSelect =
    "SELECT number, workspace_id, flow, kind, event, reason, time, name, address, port, peer, bytes_out, bytes_in, "
    "duration, omitted, via FROM flows WHERE ($1 = '' OR workspace_id = $1) AND ($2 = 0 OR number < $2) ORDER BY "
    "number "
    "DESC LIMIT $3";

Flow flow_of(const store::Row& row) {
  const auto count = [&row](std::size_t column) { return static_cast<std::uint64_t>(row.integer(column)); };
  Flow flow;
  std::size_t column = 0;
  flow.number = count(column++);
  flow.workspace = row.text(column++);
  flow.flow = count(column++);
  flow.kind = row.text(column++);
  flow.event = row.text(column++);
  flow.reason = row.text(column++);
  flow.time_us = count(column++);
  flow.name = row.text(column++);
  flow.address = row.text(column++);
  flow.port = static_cast<std::uint16_t>(row.integer(column++));
  flow.peer = row.text(column++);
  flow.bytes_out = count(column++);
  flow.bytes_in = count(column++);
  flow.duration_us = count(column++);
  flow.omitted = count(column++);
  flow.via = row.text(column++);
  return flow;
}

}  // namespace

void FlowLog::add(Flow flow) {
  followers_.push(flow);
  if (unwritten_.size() >= kMaxUnwritten) {
    omitted_ += std::max<std::uint64_t>(flow.omitted, 1);
    return;
  }
  unwritten_.push_back(std::move(flow));
  news_.notify();
}

Task<void> FlowLog::flush() {
  while (!unwritten_.empty() || omitted_ > 0) {
    std::vector<Flow> batch;
    while (!unwritten_.empty() && batch.size() < kMostAtOnce) {
      batch.push_back(std::move(unwritten_.front()));
      unwritten_.pop_front();
    }
    if (unwritten_.empty() && omitted_ > 0) {
      Flow gap;
      gap.time_us = now_us();
      gap.event = "omitted";
      gap.omitted = std::exchange(omitted_, 0);
      batch.push_back(std::move(gap));
    }
    since_pruned_ += batch.size();
    std::vector<std::string> crowded;
    for (const auto& flow : batch) {
      auto& count = since_pruned_of_[flow.workspace];
      if (++count < kPruneOneEvery) continue;
      count = 0;
      crowded.push_back(flow.workspace);
    }
    const bool prune = since_pruned_ >= kPruneEvery;
    if (prune) {
      since_pruned_ = 0;
      since_pruned_of_.clear();
    }
    auto work = [batch = std::move(batch), crowded = std::move(crowded),
                 prune](store::Connection& connection) -> Status {
      for (const auto& flow : batch) {
        TRY(connection.execute(
            kInsert, {flow.workspace, whole(flow.flow), flow.kind, flow.event, flow.reason, whole(flow.time_us),
                      flow.name, flow.address, std::int64_t{flow.port}, flow.peer, whole(flow.bytes_out),
                      whole(flow.bytes_in), whole(flow.duration_us), whole(flow.omitted), flow.via}));
      }
      for (const auto& workspace : crowded) {
        TRY(connection.execute(
            "DELETE FROM flows WHERE workspace_id = $1 AND number <= (SELECT number FROM flows WHERE "
            "workspace_id = $1 ORDER BY number DESC LIMIT 1 OFFSET $2)",
            {workspace, static_cast<std::int64_t>(kKeptOfOne)}));
      }
      if (prune) {
        TRY(connection.execute("DELETE FROM flows WHERE number <= (SELECT max(number) FROM flows) - $1",
                               {static_cast<std::int64_t>(kKept)}));
      }
      return {};
    };
    CO_TRY(co_await database_.run(std::move(work), store::Durability::process_death));
  }
  co_return Status{};
}

Task<void> FlowLog::keep_writing() {
  for (;;) {
    CO_TRY(co_await news_.wait());
    CO_TRY(co_await loop::sleep_for(kGather));
    if (auto written = co_await flush(); !written) {
      log_error("records of connections were not written", {{"error", written.error().message}});
    }
  }
}

Task<std::vector<Flow>> FlowLog::last(std::string workspace, std::size_t count, std::uint64_t before) {
  CO_TRY(co_await flush());
  auto read = [workspace = std::move(workspace), count, before](store::Connection& connection) {
    return connection.query(kSelect, {workspace, whole(before), static_cast<std::int64_t>(count)});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  std::vector<Flow> flows;
  flows.reserve(rows.size());
  for (const auto& row : rows) flows.push_back(flow_of(row));
  std::reverse(flows.begin(), flows.end());
  co_return flows;
}

}  // namespace cofferdam::net

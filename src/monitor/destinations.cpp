#include "monitor/destinations.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::monitor {
namespace {

using identity::from_unix_ms;
using identity::to_unix_ms;

std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, INT64_MAX / 2));
}

}  // namespace

Result<std::unique_ptr<Destinations>> Destinations::open(store::Database& database, identity::Clock clock) {
  std::unique_ptr<Destinations> opened(new Destinations(database, std::move(clock)));
  auto load = [&opened](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("SELECT workspace_id, name, first, last, opened, bytes_out, bytes_in "
                                                 "FROM watch_destinations"));
    for (const auto& row : rows) {
      opened->known_[row.text(0)][row.text(1)] = {row.text(1),
                                                  from_unix_ms(row.integer(2)),
                                                  from_unix_ms(row.integer(3)),
                                                  static_cast<std::uint64_t>(row.integer(4)),
                                                  static_cast<std::uint64_t>(row.integer(5)),
                                                  static_cast<std::uint64_t>(row.integer(6))};
    }
    return {};
  };
  TRY(database.run_now(std::move(load)));
  return opened;
}

std::string Destinations::name_of(const net::Flow& flow) {
  return cat(flow.name.empty() ? flow.address : flow.name, ":", flow.port);
}

Destinations::Seen Destinations::note(const std::string& workspace, const net::Flow& flow) {
  auto& known = known_[workspace];
  const std::string name = name_of(flow);
  auto found = known.find(name);
  const Seen seen = found == known.end() ? Seen::never : Seen::before;
  if (found == known.end()) {
    if (known.size() >= kMaxOfOne) return seen;
    found = known.emplace(name, Destination{name, clock_.now(), {}, 0, 0, 0}).first;
  }
  auto& destination = found->second;
  destination.last = clock_.now();
  if (flow.event == "opened") ++destination.opened;
  destination.bytes_out += flow.bytes_out;
  destination.bytes_in += flow.bytes_in;
  unwritten_.emplace(workspace, name);
  return seen;
}

std::vector<Destination> Destinations::of(const std::string& workspace) const {
  std::vector<Destination> all;
  if (const auto found = known_.find(workspace); found != known_.end()) {
    for (const auto& [name, destination] : found->second) all.push_back(destination);
  }
  return all;
}

Task<void> Destinations::flush() {
  if (unwritten_.empty()) co_return Status{};
  std::vector<store::Values> rows;
  for (const auto& [workspace, name] : std::exchange(unwritten_, {})) {
    const auto& destination = known_[workspace][name];
    rows.push_back({workspace, name, to_unix_ms(destination.first), to_unix_ms(destination.last),
                    whole(destination.opened), whole(destination.bytes_out), whole(destination.bytes_in)});
  }
  auto write = [rows = std::move(rows)](store::Connection& connection) -> Status {
    for (const auto& row : rows) {
      TRY(
          connection.execute("INSERT INTO watch_destinations (workspace_id, name, first, last, opened, bytes_out, "
                             "bytes_in) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, name) DO UPDATE "
                             "SET last = excluded.last, opened = excluded.opened, bytes_out = excluded.bytes_out, "
                             "bytes_in = excluded.bytes_in",
                             row));
    }
    return {};
  };
  co_return co_await database_.run(std::move(write), store::Durability::process_death);
}

Task<void> Destinations::forget(std::string workspace) {
  std::erase_if(unwritten_, [&](const auto& item) { return item.first == workspace; });
  known_.erase(workspace);
  auto remove = [workspace = std::move(workspace)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM watch_destinations WHERE workspace_id = $1", {workspace}));
    return {};
  };
  co_return co_await database_.run(std::move(remove), store::Durability::process_death);
}

}  // namespace cofferdam::monitor

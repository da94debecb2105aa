// What the looks have found: raw seconds in memory, minutes and hours of them in the store. Used on the loop.
#pragma once
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "loop/task.h"
#include "monitor/sample.h"
#include "store/database.h"

namespace cofferdam::monitor {

using loop::Task;

// Several samples as one.
struct Rollup {
  Time start;
  std::uint64_t samples = 0, passed_ms = 0, cpu_ms = 0;
  double cpu_peak_percent = 0;
  std::uint64_t memory_peak_bytes = 0, disk_allocated_bytes = 0;  // the most; the last
  std::uint64_t disk_read_bytes = 0, disk_written_bytes = 0, net_out_bytes = 0, net_in_bytes = 0;
  std::uint64_t opened = 0, refused = 0;

  void add(const Sample& sample);
};

enum class Span { minute, hour };

class History {
 public:
  static constexpr std::size_t kSeconds = 300;  // of each workspace
  static constexpr std::chrono::hours kMinutesKept{24}, kHoursKept{30 * 24};

  // `database` has the tables of schema.h and outlives this.
  History(store::Database& database, identity::Clock clock) : database_(database), clock_(std::move(clock)) {}

  void add(const std::string& workspace, const Sample& sample);
  // Oldest first; empty: none.
  [[nodiscard]] const std::deque<Sample>& seconds(const std::string& workspace) const;
  // Those that begin in [from, to), oldest first, at most `limit`, the newest of them.
  Task<std::vector<Rollup>> rolled_up(std::string workspace, Span span, Time from, Time to, std::size_t limit);
  // Writes what was added. A host that loses its power forgets some seconds.
  Task<void> flush();
  void forget_seconds(const std::string& workspace) { seconds_.erase(workspace); }
  Task<void> forget(std::string workspace);

 private:
  store::Database& database_;
  identity::Clock clock_;
  std::map<std::string, std::deque<Sample>> seconds_;
  std::map<std::pair<std::string, std::int64_t>, Rollup> unwritten_;  // by workspace and minute
};

}  // namespace cofferdam::monitor

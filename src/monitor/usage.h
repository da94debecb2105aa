// What workspaces have used, hour by hour and day by day, of each workspace and of each namespace. Used on the loop.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "identity/clock.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::monitor {

using identity::Time;
using loop::Task;

struct Usage {
  std::uint64_t cpu_ms = 0;        // that was taken
  std::uint64_t vcpu_ms = 0;       // that was promised, while it ran: a vCPU for a second is 1000
  std::uint64_t memory_mib_s = 0;  // the same of memory
  std::uint64_t running_ms = 0;
  std::uint64_t disk_read_bytes = 0, disk_written_bytes = 0;
  std::uint64_t net_in_bytes = 0, net_out_bytes = 0;
  std::uint64_t samples = 0;

  Usage& operator+=(const Usage& more);
  // The unit that quotas count in: an hour of a vCPU that was promised.
  [[nodiscard]] double credits() const;
  bool operator==(const Usage&) const = default;
};

enum class Period { hour, day };

struct Bucket {
  Time start;
  Usage usage;
};

// How far a machine's own counters had come when they were last looked at.
struct Counters {
  std::string vm_id;
  std::uint64_t cpu_ms = 0, disk_read_bytes = 0, disk_written_bytes = 0;
  Time at;
};

struct UsageSample {
  std::string workspace_id, namespace_id;
  Usage usage;  // since the sample before
  Counters counters;
  bool gone = false;  // the workspace is no more: this is its namespace's alone
};

class UsageHistory {
 public:
  // So long a bucket is kept: hours first, and their days after that.
  static constexpr std::chrono::hours kHoursKept{14 * 24}, kDaysKept{400 * 24};

  // Blocks. `database` has the tables of schema.h and outlives this.
  static Result<std::unique_ptr<UsageHistory>> open(store::Database& database, identity::Clock clock = {});

  // To the present hour and day of each workspace and of its namespace, all or nothing. Those that are not tracked
  // count for their namespace alone.
  Task<void> add(std::vector<UsageSample> samples);
  // Its machine stands still: the time until it goes on is not its own.
  void rests(const std::string& workspace_id);
  [[nodiscard]] std::optional<Counters> last_counters(const std::string& workspace_id) const;

  // Oldest first, those that begin in [from, to); those without use are left out.
  Task<std::vector<Bucket>> of_workspace(std::string id, Period period, Time from, Time to);
  Task<std::vector<Bucket>> of_namespace(const std::string& id, Period period, Time from, Time to);
  // All that is kept.
  Task<Usage> total_of_workspace(std::string id);
  Task<std::map<std::string, Usage>> totals_of_workspaces();

  // How many buckets were forgotten. What its namespace has used stays.
  Task<std::int64_t> wipe(std::string workspace_id);
  enum class Tracking { off, on };
  Task<void> track(std::string workspace_id, Tracking tracking);
  [[nodiscard]] Tracking tracking(const std::string& workspace_id) const;
  // The workspace, or the namespace, is gone.
  Task<void> forget_workspace(std::string id);
  Task<void> forget_namespace(std::string id);

 private:
  UsageHistory(store::Database& database, identity::Clock clock) : database_(database), clock_(std::move(clock)) {}
  Task<std::vector<Bucket>> of(std::string scope, Period period, Time from, Time to);
  store::Database& database_;
  identity::Clock clock_;
  std::map<std::string, Counters> counters_;
  std::set<std::string> untracked_;
};

}  // namespace cofferdam::monitor

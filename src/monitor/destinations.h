// Where each workspace has been: connections and bytes by destination, kept across restarts. Used on the loop.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "identity/clock.h"
#include "loop/task.h"
#include "net/flow_log.h"
#include "store/database.h"

namespace cofferdam::monitor {

using identity::Time;
using loop::Task;

struct Destination {
  std::string name;  // "example.com:443": what was asked for, else the address
  Time first, last;
  std::uint64_t opened = 0;
  std::uint64_t bytes_out = 0, bytes_in = 0;  // of those that have ended
};

class Destinations {
 public:
  static constexpr std::size_t kMaxOfOne = 512;

  // Blocks. `database` has the tables of schema.h and outlives this.
  static Result<std::unique_ptr<Destinations>> open(store::Database& database, identity::Clock clock = {});

  enum class Seen { before, never };
  // A connection that was opened, or has ended. A workspace that has its fill has never been anywhere else, whatever
  // comes: what fills the list must not hide what follows.
  Seen note(const std::string& workspace, const net::Flow& flow);
  static std::string name_of(const net::Flow& flow);
  [[nodiscard]] std::vector<Destination> of(const std::string& workspace) const;
  Task<void> flush();
  Task<void> forget(std::string workspace);

 private:
  Destinations(store::Database& database, identity::Clock clock) : database_(database), clock_(std::move(clock)) {}
  store::Database& database_;
  identity::Clock clock_;
  std::map<std::string, std::map<std::string, Destination>> known_;  // by workspace and name
  std::set<std::pair<std::string, std::string>> unwritten_;
};

}  // namespace cofferdam::monitor

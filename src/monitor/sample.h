// What is looked at, and what one look has found.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "identity/clock.h"
#include "vm/machine.h"

namespace cofferdam::monitor {

using identity::Time;
using Steady = std::chrono::steady_clock::time_point;

// A workspace that is there.
struct Watched {
  std::string id, name, namespace_id, namespace_slug;
  std::uint32_t cpu_millis = 1000;       // what it was promised
  Time created_at, started_at;           // of the workspace; of its machine
  std::shared_ptr<vm::Machine> machine;  // null: it does not run
  bool isolated = false;                 // it is there to be looked into: nothing about it is out of the ordinary
  // Since when none of its snapshots was brought back; nullopt: it has none. What came of the last try, if it failed.
  std::optional<Time> undrilled_since = {};
  std::string drill_error = {};
};

// One look from outside the guest. What counts up is what came since the look before.
struct Sample {
  Time time;
  Steady at;
  std::chrono::milliseconds passed{0};  // since the look before
  double cpu_percent = 0;               // of what it was promised
  std::uint64_t cpu_ms = 0;
  std::uint64_t memory_bytes = 0, disk_allocated_bytes = 0;
  std::uint64_t disk_read_bytes = 0, disk_written_bytes = 0;
  std::uint64_t net_out_bytes = 0, net_in_bytes = 0;  // from the guest, to it
  std::uint64_t opened = 0, refused = 0;              // connections, as its gate counts them
  std::uint32_t open_now = 0;
};

}  // namespace cofferdam::monitor

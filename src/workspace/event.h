// What happens to workspaces, told to whoever asked: webhooks, logs, counters.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace cofferdam::workspace {

enum class EventKind {
  created,
  started,
  stopped,
  paused,
  resumed,
  suspended,
  woken,
  resized,
  removed,
  failed,
  ttl_expired,
  snapshot_taken,  // its id is the detail
  snapshot_removed,
  restored,
  archive_made,  // its version is the detail
  archive_removed,
  held,
  unheld,
  workload_started,
  workload_exited,  // with 0, or stopped by somebody
  workload_failed,
};
std::string_view event_name(EventKind kind);  // as in the API: "workload_started"

struct Event {
  EventKind kind = EventKind::created;
  std::string workspace_id, name, namespace_id;
  std::chrono::system_clock::time_point time;
  std::string detail;  // for people; of a workload's events, its id first
};

// Called on the loop, in order, and returns soon. It may start operations, but not wait for them.
using OnEvent = std::function<void(const Event&)>;

}  // namespace cofferdam::workspace

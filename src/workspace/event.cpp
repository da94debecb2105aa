#include "workspace/event.h"

namespace cofferdam::workspace {

std::string_view event_name(EventKind kind) {
  switch (kind) {
    case EventKind::created:
      return "created";
    case EventKind::started:
      return "started";
    case EventKind::stopped:
      return "stopped";
    case EventKind::paused:
      return "paused";
    case EventKind::resumed:
      return "resumed";
    case EventKind::suspended:
      return "suspended";
    case EventKind::woken:
      return "woken";
    case EventKind::resized:
      return "resized";
    case EventKind::removed:
      return "removed";
    case EventKind::failed:
      return "failed";
    case EventKind::ttl_expired:
      return "ttl_expired";
    case EventKind::snapshot_taken:
      return "snapshot_taken";
    case EventKind::snapshot_removed:
      return "snapshot_removed";
    case EventKind::restored:
      return "restored";
    case EventKind::archive_made:
      return "archive_made";
    case EventKind::archive_removed:
      return "archive_removed";
    case EventKind::held:
      return "held";
    case EventKind::unheld:
      return "unheld";
    case EventKind::workload_started:
      return "workload_started";
    case EventKind::workload_exited:
      return "workload_exited";
    case EventKind::workload_failed:
      return "workload_failed";
  }
  return "failed";
}

}  // namespace cofferdam::workspace

#include "api/event_log.h"

#include "base/log.h"
#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::api {

void EventLog::add(const workspace::Event& event) {
  if (recent_.size() >= kKept) recent_.pop_front();
  recent_.push_back(event);
  feed_->push(event);
}

loop::Task<void> EventLog::keep(identity::Namespaces& namespaces) {
  for (;;) {
    CO_TRY_ASSIGN(const auto event, co_await feed_->next());
    if (!event) co_return Status{};
    if (event->namespace_id.empty()) continue;
    identity::Activity entry;
    entry.namespace_id = event->namespace_id;
    entry.action = notice_of(*event).event;
    entry.description = to_utf8(event->detail);
    entry.changes = {{"workspace_id", event->workspace_id}, {"workspace_name", to_utf8(event->name)}};
    auto recorded = co_await namespaces.record(std::move(entry));
    // A namespace goes with its activity.
    if (!recorded && recorded.error().code == Code::Cancelled) co_return recorded;
    if (!recorded && recorded.error().code != Code::NotFound) {
      log_warn("an activity was not written", {{"error", recorded.error().message}});
    }
  }
}

namespace {

// "vm.stopped", "workload.exited".
std::string event_text(workspace::EventKind kind) {
  constexpr std::string_view kWorkload = "workload_";
  const auto name = workspace::event_name(kind);
  if (name.starts_with(kWorkload)) return cat("workload.", name.substr(kWorkload.size()));
  return cat("vm.", name);
}

}  // namespace

monitor::Notice notice_of(const workspace::Event& event) {
  monitor::Notice notice;
  notice.event = event_text(event.kind);
  notice.time = event.time;
  notice.workspace_id = event.workspace_id;
  notice.workspace_name = to_utf8(event.name);
  notice.namespace_id = event.namespace_id;
  notice.detail = to_utf8(event.detail);
  return notice;
}

}  // namespace cofferdam::api

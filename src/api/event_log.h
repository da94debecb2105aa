// What happened to workspaces lately, and the entries that it leaves in the activity of their namespaces.
#pragma once
#include <deque>
#include <string>

#include "identity/namespaces.h"
#include "loop/feed.h"
#include "monitor/webhooks.h"
#include "workspace/event.h"

namespace cofferdam::api {

// Used on the loop only.
class EventLog {
 public:
  static constexpr std::size_t kKept = 1000;
  explicit EventLog(const loop::asio::any_io_executor& executor)
      : feed_(std::make_unique<loop::Feed<workspace::Event>>(executor)) {}

  void add(const workspace::Event& event);
  // Newest last.
  [[nodiscard]] const std::deque<workspace::Event>& recent() const { return recent_; }
  // Writes what was added, in order, until it is cancelled. `namespaces` outlives the task.
  loop::Task<void> keep(identity::Namespaces& namespaces);

 private:
  std::deque<workspace::Event> recent_;
  std::unique_ptr<loop::Feed<workspace::Event>> feed_;
};

// The same event as webhooks tell it.
monitor::Notice notice_of(const workspace::Event& event);

}  // namespace cofferdam::api

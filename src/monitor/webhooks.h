// The webhooks of the host: who wants to hear of what, and the deliveries that are due. Used on the loop only.
#pragma once
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/secure_bytes.h"
#include "identity/clock.h"
#include "loop/event.h"
#include "loop/lane.h"
#include "loop/task_group.h"
#include "monitor/target.h"
#include "store/database.h"

namespace cofferdam::monitor {

using identity::Time;
using loop::Task;

struct Webhook {
  std::int64_t id = 0;
  std::string url;
  std::vector<std::string> events;
  bool active = true;
  std::optional<std::string> description;
  std::optional<std::string> namespace_id;  // nullopt: events of all namespaces
  bool is_signed = false;                   // it has a secret
  Time created_at;
  std::optional<Time> last_triggered_at;
  std::optional<std::int64_t> last_status_code;
};

struct WebhookDraft {
  std::string url;
  std::vector<std::string> events;
  SecureBytes secret;  // empty: none
  std::optional<std::string> description, namespace_id;
};

// nullopt leaves a field as it is; an inner nullopt, or an empty secret, takes it away.
struct WebhookChange {
  std::optional<std::string> url;
  std::optional<std::vector<std::string>> events;
  std::optional<SecureBytes> secret;
  std::optional<std::optional<std::string>> description, namespace_id;
  std::optional<bool> active;
};

// What happened, as it is told.
struct Notice {
  std::string event;  // "vm.stopped"
  Time time;
  std::string workspace_id, workspace_name, namespace_id, namespace_slug, detail;
  boost::json::object more = {};  // members of its data beside those
};

struct Delivery {
  std::string id;  // "wd_…"
  std::string event;
  bool delivered = false;
  std::int64_t tries = 0;
  std::optional<Time> next_try_at;  // nullopt: it is over
  std::optional<std::int64_t> status_code;
  std::optional<std::string> error;
  Time created_at;
  std::optional<Time> tried_at;
};

struct WebhookOptions {
  std::string state_dir;
  Reach reach = Reach::public_only;
  identity::Clock clock;
  std::chrono::milliseconds limit = std::chrono::seconds(15);  // of one try
  // Between one try and the next, each made longer or shorter by up to a fifth; as many as there are tries but one.
  std::vector<std::chrono::milliseconds> pauses = {
      std::chrono::seconds(10), std::chrono::seconds(60), std::chrono::minutes(5),  std::chrono::minutes(20),
      std::chrono::minutes(60), std::chrono::minutes(90), std::chrono::minutes(120)};
};

// Every event there is.
const std::vector<std::string>& event_names();

class Webhooks {
 public:
  static constexpr std::size_t kMaxHooks = 100;
  static constexpr std::size_t kKeptDeliveries = 100;  // of each hook, that are over
  static constexpr std::size_t kMaxPending = 1000;     // of each hook
  static constexpr std::size_t kMaxQueued = 1024;      // notices that are not written yet
  static constexpr std::size_t kAtOnce = 8, kAtOnceOfOne = 2;

  // Blocks. `database` has the tables of schema.h and outlives this.
  static Result<std::unique_ptr<Webhooks>> open(const loop::asio::any_io_executor& executor, store::Database& database,
                                                WebhookOptions options);
  Webhooks(const Webhooks&) = delete;
  Webhooks& operator=(const Webhooks&) = delete;

  // InvalidArgument with the field; ResourceExhausted: kMaxHooks.
  Task<Webhook> create(WebhookDraft draft);
  Task<Webhook> update(std::int64_t id, WebhookChange change);
  // With its deliveries.
  Task<void> remove(std::int64_t id);
  [[nodiscard]] std::vector<Webhook> list() const;  // oldest first
  [[nodiscard]] Result<Webhook> get(std::int64_t id) const;
  Task<std::vector<Delivery>> deliveries(std::int64_t id);  // newest first

  // Returns at once. What cannot be written is lost, and the log says so.
  void notify(Notice notice);

  // Begins to deliver, also what a former daemon left.
  void start();
  // Ends the tries that run; they are due again at the next start.
  Task<void> close();

 private:
  struct Hook {
    Webhook webhook;
    std::string sealed;  // the secret
  };
  struct Due {
    std::string id, event, body;
    std::int64_t webhook_id = 0, tries = 0;
  };
  Webhooks(const loop::asio::any_io_executor& executor, store::Database& database, WebhookOptions options,
           SecureBytes key);
  Status load();
  [[nodiscard]] bool wants(const Webhook& hook, const Notice& notice) const;
  Task<void> pump();
  Task<void> write_notices();
  // How long nothing is due.
  Task<std::chrono::milliseconds> begin_due();
  Task<void> attempt(Due due);
  Task<void> note_outcome(const Due& due, Result<int> answered);
  [[nodiscard]] std::optional<Time> next_try(std::int64_t tries_made) const;
  [[nodiscard]] std::string seal_secret(std::int64_t id, const SecureBytes& secret) const;

  store::Database& database_;
  WebhookOptions options_;
  SecureBytes key_;
  loop::Lane changes_;  // one update after the other
  std::map<std::int64_t, Hook> hooks_;
  std::deque<Notice> notices_;
  std::uint64_t lost_ = 0;
  std::set<std::string> running_;                   // deliveries
  std::map<std::int64_t, std::size_t> running_of_;  // hooks
  loop::Event wake_;
  loop::TaskGroup tasks_, tries_;
};

}  // namespace cofferdam::monitor

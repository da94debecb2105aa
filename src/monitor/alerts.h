// The alerts of the host: each once, kept, told to those who want to hear, acknowledged by somebody. Used on the loop.
//
// Theory of operation. A finding that repeats one of the last kQuiet only moves that alert's end on. A new one is
// written, noted in the ledger and told, in that order, by one task; in a storm the first kMaxPerWindow of a window are
// alerts of their own, and one more alert counts the rest.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ledger/recorder.h"
#include "loop/event.h"
#include "loop/task_group.h"
#include "monitor/alert.h"
#include "monitor/alert_channels.h"
#include "monitor/webhooks.h"
#include "store/database.h"

namespace cofferdam::monitor {

// Cuts a workspace off, and says in the end whether that went well.
using Contain = std::function<Task<void>(std::string workspace_id, std::string why)>;

struct AlertOptions {
  identity::Clock clock;
  AlertChannelOptions channels;
  Contain contain;                       // none: no rule may ask for it
  ledger::Recorder* recorder = nullptr;  // null: nothing is written down
};

struct AlertFilter {
  enum class State { all, open, acknowledged } state = State::all;  // open: not acknowledged
  std::string workspace_id;                                         // empty: any
  std::function<bool(const Alert&)> visible;                        // none: all are
  std::size_t limit = 100;
};

class Alerts {
 public:
  static constexpr std::chrono::milliseconds kQuiet = std::chrono::minutes(10);
  static constexpr std::chrono::milliseconds kStormWindow = std::chrono::minutes(1);
  static constexpr std::size_t kMaxPerWindow = 20;
  static constexpr std::size_t kMaxRecent = 2000, kMaxKept = 10'000;
  static constexpr std::string_view kStormRule = "storm";

  // Blocks. `database` has the tables of schema.h; it and `webhooks` outlive this.
  static Result<std::unique_ptr<Alerts>> open(const loop::asio::any_io_executor& executor, store::Database& database,
                                              Webhooks& webhooks, AlertOptions options);

  // Returns at once.
  void raise(const Watched& workspace, const Finding& finding);
  void raise_of_host(const Finding& finding);

  // Newest first.
  Task<std::vector<Alert>> list(AlertFilter filter);
  // NotFound.
  Task<Alert> get(std::string id);
  // Once; the first who did it stays.
  Task<Alert> acknowledge(std::string id, model::Origin by);
  // Of the last kQuiet and not acknowledged, by workspace ("" for the host's).
  [[nodiscard]] std::map<std::string, std::size_t> open_by_workspace() const;
  [[nodiscard]] std::uint64_t raised() const { return raised_; }
  [[nodiscard]] std::uint64_t suppressed() const { return suppressed_; }

  void start();
  Task<void> close();

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // rule, workspace, about
  struct Recent {
    Alert alert;
    Steady last;
  };
  struct Storm {
    Steady began;
    std::size_t raised = 0;
    std::set<Key> rest;  // of this window, that are only counted
    std::map<std::string, std::uint64_t> by_rule, by_workspace;
  };
  struct News {
    Alert alert;
    RuleAction action = RuleAction::tell;
    enum class Kind { raised, changed } kind = Kind::raised;
  };
  Alerts(const loop::asio::any_io_executor& executor, store::Database& database, Webhooks& webhooks,
         AlertOptions options);
  Status load();
  void raise(Alert alert, RuleAction action);
  bool is_storm(const Key& key, const Alert& alert);
  void tell_of_storm();
  void end_storm_window(Steady now);
  void remember(const Key& key, Alert alert, Steady now);
  Task<void> pump();
  Task<void> write_and_tell(News news);
  Task<void> write_changed();
  Task<void> contain(Alert alert);

  store::Database& database_;
  Webhooks& webhooks_;
  AlertOptions options_;
  std::unique_ptr<AlertChannels> channels_;
  std::map<Key, Recent> recent_;
  std::set<Key> changed_;
  std::deque<News> news_;
  Storm storm_;
  std::uint64_t raised_ = 0, suppressed_ = 0;
  loop::Event wake_;
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::monitor

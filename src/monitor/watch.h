// The watch over all workspaces: looks at each every second from outside, now and then asks its guest, keeps what it
// saw, and raises alerts. Used on the loop.
//
// Theory of operation. Each round starts a look at every workspace; none waits for another, and one whose VMM does not
// answer has one look outstanding, not more. A look from outside reads the VMM's control group, asks its monitor for
// block figures, and adds what the gate has counted since. Records of connections come as they happen. Everything is
// handed to the workspace's Detector, and what that finds to Alerts.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gate/control.h"
#include "loop/task_group.h"
#include "monitor/alerts.h"
#include "monitor/destinations.h"
#include "monitor/detector.h"
#include "monitor/history.h"
#include "monitor/logins.h"
#include "monitor/rules.h"

namespace cofferdam::monitor {

struct WatchOptions {
  identity::Clock clock;
  std::chrono::milliseconds every{1000};      // a look from outside
  std::chrono::milliseconds ask_every{4000};  // a question to the guest
  std::chrono::milliseconds write_every{10'000};
  Rules rules;
  AlertOptions alerts;
  std::function<std::vector<Watched>()> list;  // all there are, those that do not run too
  // What the gate has counted of each, since it started; none: there is no network.
  std::function<Task<std::vector<gate::CountersReply>>()> count;
  std::function<std::shared_ptr<loop::Feed<net::Flow>>()> follow;                    // records of connections
  std::function<Task<std::string>(const std::string& namespace_id)> namespace_slug;  // none: they have none
};

// A workspace as it was last seen.
struct Sight {
  Watched workspace;
  std::optional<Sample> latest;
  vm::Figures figures;          // since its machine started
  gate::CountersReply network;  // since the daemon started, all its machines together
  std::int64_t disk_growth_bytes_per_minute = 0;
};

class Watch {
 public:
  // Blocks. InvalidArgument: a rule asks for containment, and there is nobody who does it.
  static Result<std::unique_ptr<Watch>> open(const loop::asio::any_io_executor& executor, store::Database& database,
                                             Webhooks& webhooks, WatchOptions options);
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void start();
  Task<void> close();
  // One round, as start() does every second; returns when each has been looked at. For tests.
  Task<void> look_at_all();
  Task<void> ask_all();

  // Who wants to know.
  [[nodiscard]] std::vector<Sight> sights() const;
  [[nodiscard]] std::optional<Sight> sight(const std::string& workspace) const;
  [[nodiscard]] History& history() { return history_; }
  [[nodiscard]] Destinations& destinations() { return *destinations_; }
  [[nodiscard]] Alerts& alerts() { return *alerts_; }
  [[nodiscard]] const Alerts& alerts() const { return *alerts_; }
  [[nodiscard]] const Rules& rules() const { return options_.rules; }
  struct Bytes {
    std::uint64_t out = 0, in = 0;
  };
  // What went over the workspace's network since this was last called for it.
  Bytes take_network_bytes(const std::string& workspace);
  // Rounds that began late because the one before had not ended.
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }

  // Told by those who know.
  void credentials_refused(const std::string& address, const std::string& reason);
  void credentials_used(const std::string& credential, const std::string& address);
  // The workspace is no more.
  void forget(const std::string& workspace);

 private:
  struct Executable {
    std::string command, path;
    std::optional<Time> written_at;
  };
  struct Entry {
    Watched workspace;
    Detector detector;
    std::string machine_id;
    std::optional<Steady> looked_at;  // nullopt: not since its machine started
    vm::Figures figures;
    gate::CountersReply counted;  // as the gate said at the last look
    gate::CountersReply network;  // all of it
    Bytes untaken;
    std::optional<Sample> latest;
    bool looking = false, asking = false;
    std::map<std::uint32_t, Executable> executables;  // by pid
  };
  using EntryPtr = std::shared_ptr<Entry>;

  Watch(const loop::asio::any_io_executor& executor, store::Database& database, WatchOptions options);
  Task<void> keep_looking();
  Task<void> keep_asking();
  Task<void> keep_counting();
  Task<void> keep_hearing(std::shared_ptr<loop::Feed<net::Flow>> feed);
  Task<void> keep_writing();
  Task<void> flush();
  void update_entries();
  [[nodiscard]] Rules::InForce rules_for(const Watched& workspace) const;
  Task<void> learn_slug(EntryPtr entry);
  Task<void> count();
  bool look_at_hand(Entry& entry);
  Task<void> look_closer(EntryPtr entry);
  void see(Entry& entry, const vm::Machine& machine, const vm::Figures& figures);
  void count_network(Entry& entry, Sample& sample);
  Task<void> ask(EntryPtr entry);
  Task<std::vector<SeenProcess>> processes_of(EntryPtr entry, std::shared_ptr<vm::Machine> machine);
  void hear(const net::Flow& flow);
  void raise(const Entry& entry, const Findings& findings);
  Task<void> forget_durably(std::string workspace);

  WatchOptions options_;
  History history_;
  std::unique_ptr<Destinations> destinations_;
  std::unique_ptr<Logins> logins_;
  std::unique_ptr<Alerts> alerts_;
  std::map<std::string, EntryPtr> entries_;
  std::map<std::string, std::string> slugs_;             // of namespaces, by id
  std::map<std::string, gate::CountersReply> counters_;  // by workspace, as the gate said last
  std::uint64_t rounds_ = 0;
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::monitor

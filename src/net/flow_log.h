// What was let through and what was refused, kept for later: bounded in all, and still there when the workspace is not.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/feed.h"
#include "loop/task.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::net {

using loop::Task;

struct Flow {
  std::uint64_t number = 0;  // in the order they came; 0: not kept yet
  std::string workspace;
  std::uint64_t flow = 0;           // the same in the records of one connection
  std::string kind, event, reason;  // "egress", "link", "ingress", "dns"; "opened", "closed", "refused"
  std::uint64_t time_us = 0;        // since 1970
  std::string name, address, peer;  // asked for, dialled, shown (SNI or Host). Printable ASCII
  std::uint16_t port = 0;
  std::uint64_t bytes_out = 0, bytes_in = 0;  // from the guest, to it
  std::uint64_t duration_us = 0;
  // The proxies that a connection outside goes through: "operator", "proxy.example:3128", both with a comma between
  // them, or "direct". Empty: it was not opened, or leads elsewhere, or an earlier version has kept it.
  std::string via;
  std::uint64_t generation = 0;  // of the policy that decided; not kept
  std::uint64_t omitted = 0;     // not a flow: so many records were left out, because there were too many
};

class FlowLog {
 public:
  static constexpr std::size_t kKept = 200'000;       // records, of all workspaces
  static constexpr std::size_t kKeptOfOne = 20'000;   // so that none can push out what is known of the others
  static constexpr std::size_t kMaxUnwritten = 8192;  // beyond: counted, and told as omitted
  FlowLog(const loop::asio::any_io_executor& executor, store::Database& database)
      : executor_(executor), database_(database), news_(executor) {}

  void add(Flow flow);
  // The last `count` of a workspace (of all when empty) before the number `before` (0: the latest), oldest first.
  Task<std::vector<Flow>> last(std::string workspace, std::size_t count, std::uint64_t before = 0);
  // From now on; the caller picks those of its workspace.
  std::shared_ptr<loop::Feed<Flow>> follow() { return followers_.open(executor_); }
  // Writes what was added, until it is cancelled.
  Task<void> keep_writing();
  Task<void> flush();

 private:
  loop::asio::any_io_executor executor_;
  store::Database& database_;
  loop::Event news_;
  loop::Feeds<Flow> followers_;
  std::deque<Flow> unwritten_;
  std::uint64_t omitted_ = 0;
  std::size_t since_pruned_ = 0;
  std::map<std::string, std::size_t> since_pruned_of_;
};

}  // namespace cofferdam::net

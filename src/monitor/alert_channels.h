// Where alerts are told beside webhooks: a syslog server, a program. What hangs there holds up nobody else.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "ledger/syslog_server.h"
#include "loop/event.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "monitor/alert.h"

namespace cofferdam::monitor {

using loop::Task;

struct AlertChannelOptions {
  std::string syslog;   // see ledger::SyslogServer; empty: none
  std::string command;  // a program's path, given each alert as JSON on stdin; empty: none
  std::chrono::milliseconds command_limit = std::chrono::seconds(10);
};

// Used on the loop.
class AlertChannels {
 public:
  static constexpr std::size_t kMaxQueued = 256;  // for the program; beyond, the oldest is given up

  // InvalidArgument: no such kind of server.
  static Result<std::unique_ptr<AlertChannels>> open(const loop::asio::any_io_executor& executor,
                                                     AlertChannelOptions options);
  // Returns at once.
  void tell(const Alert& alert);
  Task<void> close();

 private:
  AlertChannels(const loop::asio::any_io_executor& executor, AlertChannelOptions options)
      : options_(std::move(options)), wake_(executor), tasks_(executor) {}
  Task<void> run_commands();

  AlertChannelOptions options_;
  std::optional<ledger::SyslogServer> syslog_;
  std::deque<std::string> for_command_;
  loop::Event wake_;
  loop::WorkerPool runner_{1};  // blocks for as long as the program runs
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::monitor

#include "monitor/alert_channels.h"

#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "base/time.h"

namespace cofferdam::monitor {
namespace {

constexpr int kAuditWarning = 13 * 8 + 4;  // facility "log audit", severity
constexpr std::size_t kMaxOutput = 64U << 10;

}  // namespace

Result<std::unique_ptr<AlertChannels>> AlertChannels::open(const loop::asio::any_io_executor& executor,
                                                           AlertChannelOptions options) {
  std::unique_ptr<AlertChannels> channels(new AlertChannels(executor, std::move(options)));
  if (!channels->options_.syslog.empty()) {
    TRY_ASSIGN(channels->syslog_, ledger::SyslogServer::at(channels->options_.syslog));
  }
  if (!channels->options_.command.empty()) channels->tasks_.spawn("command for alerts", channels->run_commands());
  return channels;
}

void AlertChannels::tell(const Alert& alert) {
  const std::string text = boost::json::serialize(to_json(alert));
  if (syslog_ && !syslog_->send({kAuditWarning, alert.last, "alert", text})) {
    log_warn("syslog did not take an alert", {{"target", options_.syslog}, {"alert", alert.id}});
  }
  if (options_.command.empty()) return;
  if (for_command_.size() >= kMaxQueued) {
    for_command_.pop_front();
    log_warn("an alert was not given to the command for alerts: it is too slow", {{"command", options_.command}});
  }
  for_command_.push_back(text);
  wake_.notify();
}

Task<void> AlertChannels::run_commands() {
  for (;;) {
    while (for_command_.empty()) CO_TRY(co_await wake_.wait());
    RunOptions run;
    run.argv = {options_.command};
    run.input = std::move(for_command_.front());
    run.timeout = options_.command_limit;
    run.max_output = kMaxOutput;
    for_command_.pop_front();
    auto done = co_await runner_.run([run = std::move(run)] { return cofferdam::run(run); });
    if (!done && done.error().code == Code::Cancelled) co_return fail(std::move(done.error()));
    if (done && done->status == 0) continue;
    log_warn("the command for alerts failed",
             {{"command", options_.command},
              {"error", done ? cat("it ended with status ", done->status) : done.error().message}});
  }
}

Task<void> AlertChannels::close() {
  tasks_.cancel();
  co_return co_await tasks_.join();
}

}  // namespace cofferdam::monitor

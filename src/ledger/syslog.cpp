#include "ledger/syslog.h"

#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "ledger/json.h"
#include "ledger/syslog_server.h"
#include "ledger/tail.h"

namespace cofferdam::ledger {
namespace {

using namespace std::chrono_literals;

constexpr int kAuditInfo = 13 * 8 + 6;  // facility, severity
constexpr int kAuditWarning = kAuditInfo - 2;
constexpr auto kPause = 50ms;
constexpr int kTries = 20;

std::chrono::system_clock::time_point time_of(const Decoded& entry) {
  return std::chrono::system_clock::time_point(std::chrono::microseconds(entry.stamp.time_us));
}

}  // namespace

Status check_syslog_target(std::string_view target) {
  TRY(SyslogServer::at(target));
  return {};
}

Task<void> send_to_syslog(Ledger& ledger, std::string target) {
  CO_TRY_ASSIGN(SyslogServer server, SyslogServer::at(target));
  Tail tail(ledger, ledger.size());
  std::uint64_t lost = 0;
  for (;;) {
    CO_TRY_ASSIGN(const auto entry, co_await tail.next());
    if (!entry) co_return Status{};
    const std::string text = boost::json::serialize(to_json(*entry));
    const SyslogMessage message{kAuditInfo, time_of(*entry), model::kind_name(entry->kind), text};
    bool sent = server.send(message);
    // After a loss there is no waiting for each one more.
    for (int i = 1; !sent && lost == 0 && i < kTries; ++i) {
      CO_TRY(co_await loop::sleep_for(kPause));
      sent = server.send(message);
    }
    if (sent && lost > 0) {
      log_warn("syslog takes entries of the ledger again", {{"target", target}, {"lost", cat(lost)}});
      const std::string gap = cat(lost, " entries of the ledger before number ", entry->stamp.number, " were not sent");
      (void)server.send({kAuditWarning, time_of(*entry), "", gap});
      lost = 0;
    } else if (!sent && lost++ == 0) {
      log_warn("syslog takes no entries of the ledger", {{"target", target}, {"error", std::strerror(errno)}});
    }
  }
}

}  // namespace cofferdam::ledger

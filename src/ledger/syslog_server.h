// A syslog server: RFC 5424 messages, a datagram each.
#pragma once
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::ledger {

struct SyslogMessage {
  int priority = 0;  // 8 * facility + severity
  std::chrono::system_clock::time_point time;
  std::string_view kind;  // MSGID
  std::string_view text;
};

class SyslogServer {
 public:
  // "/dev/log" (any Unix socket), or "udp:ADDRESS:PORT" with a numeric address. InvalidArgument else.
  static Result<SyslogServer> at(std::string_view target);

  // Never waits. False: it takes nothing now; errno says why.
  bool send(const SyslogMessage& message);

 private:
  SyslogServer() = default;
  sockaddr_storage address_{};
  socklen_t size_ = 0;
  UniqueFd socket_;
};

// As it is sent: cut where servers cut as a rule.
std::string format_syslog(const SyslogMessage& message, std::string_view host, int pid);

}  // namespace cofferdam::ledger

// Entries to a syslog server as they come: RFC 5424, facility "log audit", the entry as JSON.
#pragma once
#include <string>

#include "base/unique_fd.h"
#include "ledger/ledger.h"

namespace cofferdam::ledger {

// "/dev/log" (any Unix socket), or "udp:ADDRESS:PORT" with a numeric address. InvalidArgument else.
Status check_syslog_target(std::string_view target);

// Sends entries from now on until it is cancelled or the ledger closes. A server that takes nothing for a while loses
// entries: their number is sent when it takes some again. `ledger` outlives the task.
Task<void> send_to_syslog(Ledger& ledger, std::string target);

}  // namespace cofferdam::ledger

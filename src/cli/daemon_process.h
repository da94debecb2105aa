// Starting cofferd in the background, and watching it come and go.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <string>

#include "base/process.h"
#include "cli/api.h"
#include "cli/session.h"

namespace cofferdam::cli {

// cofferd beside this program, else in PATH. NotFound when there is none.
Result<std::string> find_daemon(const Settings& settings);

// "STATE/cofferd.log", made with mode 0600; one longer than 10 MiB is moved to ".1" first. Open for appending.
Result<UniqueFd> open_daemon_log(const std::string& path);
std::string daemon_log_path(const Settings& settings);
// The last lines, printable; empty when there are none. `from`: only what stands after this many bytes.
std::string log_tail(const std::string& path, std::uint64_t from, std::size_t lines = 12);

// Starts it in a session of its own with its output in the log.
Result<Process> start_daemon(const Settings& settings, const std::string& program, int log);

// Until it answers. FailedPrecondition with the end of its log when it ended instead; DeadlineExceeded.
Task<boost::json::object> wait_until_answering(Session& session, Process& daemon, std::chrono::seconds limit);

// Until the process is gone. `pidfd` was opened while it was known to be the daemon. False: it still runs.
bool wait_until_gone(int pidfd, std::chrono::seconds limit);
UniqueFd open_pidfd(pid_t pid);

}  // namespace cofferdam::cli

// The ledger as the daemon keeps it: made from the settings, and fed with what workspaces tell.
#pragma once
#include <memory>

#include "daemon/config.h"
#include "ledger/ledger.h"
#include "loop/task_group.h"
#include "workspace/manager.h"

namespace cofferdam::daemon {

// Null when the settings say that nothing is written down. Blocks.
Result<std::unique_ptr<ledger::Ledger>> open_ledger(const loop::asio::any_io_executor& executor, const Config& config);

// Whatever happens to a workspace. `manager` and `recorder` outlive each other's calls.
void write_down_workspaces(workspace::Manager& manager, ledger::Recorder& recorder);

// To syslog and the witnesses of the settings, in `group`. `ledger` outlives the tasks.
void start_exports(ledger::Ledger& ledger, const LedgerSettings& settings, loop::TaskGroup& group);

// Of the settings in force.
std::string digest_of(const Config& config);
model::DaemonStarted started_event(const Config& config, const std::string& version, const std::string& accelerator);

}  // namespace cofferdam::daemon

// The watch as the daemon builds it: made from the settings, and fed by workspaces and networks.
#pragma once
#include <memory>

#include "daemon/config.h"
#include "identity/namespaces.h"
#include "incident/drills.h"
#include "monitor/watch.h"
#include "net/networks.h"
#include "workspace/manager.h"

namespace cofferdam::daemon {

struct WatchParts {
  store::Database& database;
  monitor::Webhooks& webhooks;
  workspace::Manager& manager;
  net::Networks& networks;
  identity::Namespaces& namespaces;
  ledger::Recorder* recorder;  // null: none
  monitor::Contain contain;    // none: no rule may ask for it
  incident::Drills& drills;
};

// Blocks. All parts outlive the watch. InvalidArgument: a rule that nothing here can carry out.
Result<std::unique_ptr<monitor::Watch>> open_watch(const loop::asio::any_io_executor& executor, const Config& config,
                                                   WatchParts parts);

}  // namespace cofferdam::daemon

// What the handlers work with.
#pragma once
#include <string>
#include <unordered_map>

#include "api/api.h"
#include "api/event_log.h"
#include "api/runtime_access.h"
#include "api/workspace_answers.h"
#include "keys/receipt_book.h"
#include "ledger/ledger.h"
#include "loop/task_group.h"
#include "runtime/session.h"

namespace cofferdam::api {

struct Services {
  workspace::Manager& manager;
  identity::Identity& identity;
  monitor::Webhooks& webhooks;
  monitor::UsageHistory& usage;
  monitor::Quotas& quotas;
  monitor::Watch& watch;
  image::ImageStore& images;
  keys::ReceiptBook& receipts;
  loop::WorkerPool& workers;
  loop::WorkerPool& builders;
  loop::TaskGroup& builds;      // those that run, whether or not their client still listens
  loop::TaskGroup& streams;     // what feeds answers that go on
  runtime::Sessions& sessions;  // what API clients have running in workspaces
  HostFacts facts;
  Shutdown shutdown;
  ledger::Recorder& recorder;
  ledger::Ledger* ledger;  // null: this daemon keeps none
  EventLog events;
  RuntimeAccess runtime_access;
  std::unordered_map<std::string, std::string> space_slugs;  // of namespaces by id, as far as they were asked for
  WorkspaceAnswers workspace_answers;
  net::Networks& networks;
  incident::Containment& containment;
  incident::Drills& drills;
  incident::EvidenceDesk& evidence;
  MakeBackup make_backup{};  // empty: there are none
};

}  // namespace cofferdam::api

// Drills: a snapshot is brought back for a moment, without a network, to know that it can be, and how long it takes.
//
// A snapshot that was never brought back is a hope. What came of the last drill of each workspace is kept, is in the
// ledger, and is what the watch goes by when it tells that one is due or has failed.
#pragma once
#include <boost/json/object.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "incident/incident.h"
#include "loop/lane.h"
#include "loop/task_group.h"
#include "model/origin.h"
#include "model/ready_check.h"
#include "store/database.h"
#include "workspace/ready.h"

namespace cofferdam::incident {

using loop::Task;

struct Drill {
  std::string workspace_id, namespace_id, snapshot;
  Time at;               // when it began
  std::string error;     // empty: the snapshot can be brought back
  bool checked = false;  // by the workspace's ready check; else its guest answered
  std::chrono::microseconds restore{0}, check{0}, took{0};
  std::optional<Time> passed_at;  // of the last one that went well, this one included
};
boost::json::object to_json(const Drill& drill);

struct DrillWish {
  std::string workspace;                   // its id
  std::string snapshot;                    // empty: the latest
  std::optional<model::ReadyCheck> check;  // nullopt: that of its create, if it had one
  model::Origin by;
};

// Used on the loop only.
class Drills {
 public:
  // Reads what is kept; blocks. All outlive the object.
  static Result<std::unique_ptr<Drills>> open(const loop::asio::any_io_executor& executor, store::Database& database,
                                              workspace::Manager& manager, ledger::Recorder& recorder);

  // One at a time, and to its end even when the caller goes away. What did not come back is an answer with an error in
  // it; an error is that there was nothing to be tried, or that the result is not durable.
  Task<Drill> run(DrillWish wish);
  // The check of a workspace, for drills to come.
  Task<void> keep_check(std::string workspace_id, model::ReadyCheck check);
  Task<void> drop_check(std::string workspace_id);
  // nullptr: it has none, and drills ask whether its guest answers. Valid until the next call that changes something.
  [[nodiscard]] const model::ReadyCheck* check_of(const std::string& workspace_id) const;
  // Of the last; nullptr: none. Valid until the next call that changes something.
  [[nodiscard]] const Drill* last(const std::string& workspace_id) const;
  [[nodiscard]] std::vector<Drill> all() const;
  // The workspace is no more. Returns at once.
  void forget(const std::string& workspace_id);
  Task<void> stop();

 private:
  Drills(const loop::asio::any_io_executor& executor, store::Database& database, workspace::Manager& manager,
         ledger::Recorder& recorder);
  Task<Drill> try_out(DrillWish wish, Drill drill);
  Task<void> bring_back(DrillWish wish, std::shared_ptr<Drill> drill);
  Task<void> look_at(std::string scratch, std::optional<model::ReadyCheck> check, std::shared_ptr<Drill> drill);
  Task<void> forget_durably(std::string workspace_id);

  store::Database& database_;
  workspace::Manager& manager_;
  ledger::Recorder& recorder_;
  std::map<std::string, Drill> last_;
  std::map<std::string, model::ReadyCheck> checks_;
  loop::Lane lane_;
  loop::TaskGroup tasks_;  // run to their end
};

}  // namespace cofferdam::incident

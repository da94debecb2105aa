// Cutting a workspace off from everything, and giving it back.
//
// Theory of operation. A containment is an incident in the book. From the moment it is there, the manager refuses every
// operation on the workspace and the networks open nothing for it, whatever becomes of this daemon: both ask the book,
// which the next daemon reads before it does anything. The steps then bring the world to that, each as far as it can:
// one that fails is noted and does not hold up those behind it. A daemon that dies in the middle leaves an unfinished
// incident, which the next one goes on with; each step may be taken twice.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "incident/incident_book.h"
#include "incident/report.h"
#include "loop/lane.h"
#include "loop/task_group.h"
#include "model/origin.h"

namespace cofferdam::incident {

// Used on the loop only.
class Containment {
 public:
  // All outlive the object; `recorder` is where its entries go.
  Containment(loop::asio::any_io_executor executor, IncidentBook& book, Sources sources, ledger::Recorder& recorder);

  // Every step was taken when this returns: those that failed are named in the answer. It runs to its end even when the
  // caller goes away. One that is contained already is answered as it is, after the steps that had failed were tried
  // again. NotFound: no such workspace. InvalidArgument: `why` is too long.
  Task<Incident> contain(std::string workspace, std::string why, model::Origin by);
  // Afterwards it may be used again, and reaches what it could; it is paused, and its tokens stay revoked.
  // InvalidArgument without a reason; FailedPrecondition: it is not contained.
  Task<Incident> release(std::string workspace, std::string why, model::Origin by);
  [[nodiscard]] IncidentBook& book() { return book_; }
  [[nodiscard]] Sources sources() const { return sources_; }

  // Once, when the workspaces are what they are said to be: goes on with what a former daemon has left.
  void go_on();
  // Waits for what is under way.
  Task<void> stop();

 private:
  using Clock = std::chrono::steady_clock;
  Task<Incident> carry_out(std::string workspace_id, Clock::time_point began, model::Origin by);
  Task<Incident> give_back(std::string workspace_id, std::string why, model::Origin by);
  Task<void> go_on_with(Incident incident);
  // What it did, for people. `incident` outlives the task, and gets what was found.
  Task<std::string> take(Step step, Incident& incident);
  Task<std::string> cut_flows(Incident& incident);
  Task<std::string> revoke_tokens(Incident& incident);
  Task<std::string> preserve(Incident& incident);
  // A workspace's turn, one at a time; its lane is there as long as somebody has one, or waits for one.
  struct Turn {
    std::shared_ptr<loop::Lane> lane;
    loop::Lane::Place place;
  };
  Task<Turn> turn_of(std::string workspace_id);

  loop::asio::any_io_executor executor_;
  IncidentBook& book_;
  Sources sources_;
  ledger::Recorder& recorder_;
  std::map<std::string, std::weak_ptr<loop::Lane>> lanes_;
  loop::TaskGroup tasks_;  // run to their end
};

}  // namespace cofferdam::incident

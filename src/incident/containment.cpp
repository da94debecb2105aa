#include "incident/containment.h"

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "workspace/owned.h"

namespace cofferdam::incident {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::milliseconds kTurn = std::chrono::minutes(5);

std::string summary(const StepTaken& taken) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(taken.after).count();
  return taken.error.empty() ? cat(step_name(taken.step), " after ", ms, " ms: ", taken.detail)
                             : cat(step_name(taken.step), " failed: ", taken.error);
}

model::Subject subject_of(const Incident& incident) { return {incident.workspace_id, incident.namespace_id}; }

}  // namespace

Containment::Containment(loop::asio::any_io_executor executor, IncidentBook& book, Sources sources,
                         ledger::Recorder& recorder)
    : executor_(std::move(executor)), book_(book), sources_(sources), recorder_(recorder), tasks_(executor_) {}

Task<Containment::Turn> Containment::turn_of(std::string workspace_id) {
  std::erase_if(lanes_, [](const auto& item) { return item.second.expired(); });
  auto& known = lanes_[workspace_id];
  auto lane = known.lock();
  if (!lane) known = lane = std::make_shared<loop::Lane>(executor_, cat("the containment of ", workspace_id));
  CO_TRY_ASSIGN(auto place, co_await lane->enter(kTurn));
  co_return Turn{std::move(lane), std::move(place)};
}

Task<Incident> Containment::contain(std::string workspace, std::string why, model::Origin by) {
  const auto began = Clock::now();
  if (why.size() > kMaxWhy) co_return fail(Code::InvalidArgument, cat("/why: longer than ", kMaxWhy, " bytes"));
  CO_TRY_ASSIGN(const auto info, sources_.manager.get(workspace));
  if (book_.of(info.id) == nullptr) {
    Incident incident;
    incident.id = new_id("inc");
    incident.workspace_id = info.id;
    incident.namespace_id = info.spec.namespace_id;
    incident.workspace_name = info.spec.name;
    incident.why = std::move(why);
    incident.by = by.actor;
    incident.began_at = system_clock::now();
    book_.begin(std::move(incident));
  }
  co_return co_await workspace::run_owned<Incident>(tasks_, "containment of a workspace",
                                                    carry_out(info.id, began, std::move(by)));
}

Task<Incident> Containment::carry_out(std::string workspace_id, Clock::time_point began, model::Origin by) {
  CO_TRY_ASSIGN(const auto place, co_await turn_of(workspace_id));
  const auto* open = book_.of(workspace_id);
  if (open == nullptr) co_return fail(Code::Aborted, cat("'", workspace_id, "' has been released meanwhile"));
  if (open->finished_at && open->complete()) co_return *open;
  Incident incident = *open;
  // What cannot be written down is done nevertheless; it would not outlive the daemon, and somebody should know.
  Status kept = co_await book_.keep(incident, store::Durability::process_death);
  for (const Step step : kSteps) {
    if (const auto* before = incident.find(step); before != nullptr && before->error.empty()) continue;
    auto done = co_await take(step, incident);
    StepTaken taken;
    taken.step = step;
    taken.at = system_clock::now();
    taken.after = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
    if (done) taken.detail = std::move(*done);
    if (!done) taken.error = done.error().message;
    if (!done) log_error("a step of a containment failed", {{"workspace", workspace_id}, {"step", summary(taken)}});
    incident.note(std::move(taken));
    kept = co_await book_.keep(incident, store::Durability::process_death);
  }
  incident.finished_at = system_clock::now();
  kept = co_await book_.keep(incident, store::Durability::power_loss);
  if (!kept) {
    log_error("a containment is in force, and its record is not durable",
              {{"workspace", workspace_id}, {"incident", incident.id}, {"error", kept.error().message}});
  }
  model::WorkspaceContained entry;
  entry.incident = incident.id;
  entry.why = incident.why;
  for (const auto& taken : incident.steps) entry.steps.push_back(summary(taken));
  recorder_.note({std::move(by), subject_of(incident), std::move(entry)});
  co_return incident;
}

Task<std::string> Containment::take(Step step, Incident& incident) {
  switch (step) {
    case Step::vcpus:
      CO_TRY(co_await sources_.manager.seize(incident.workspace_id));
      co_return std::string("its vCPUs stand still");
    case Step::flows:
      co_return co_await cut_flows(incident);
    case Step::tokens:
      co_return co_await revoke_tokens(incident);
    case Step::snapshot:
      co_return co_await preserve(incident);
    case Step::hold: {
      CO_TRY_ASSIGN(const auto info, co_await sources_.manager.keep_still(incident.workspace_id));
      co_return cat("it is ", model::state_name(info.state), ", its time does not run, and nobody can delete it");
    }
    case Step::report: {
      CO_TRY_ASSIGN(incident.report, co_await make_report(sources_, incident));
      co_return cat(incident.report.at("look_at").as_array().size(), " things to look at");
    }
  }
  co_return fail(Code::Internal, "a step that is none");
}

Task<std::string> Containment::cut_flows(Incident& incident) {
  CO_TRY_ASSIGN(const auto cut, co_await sources_.networks.contain(incident.workspace_id));
  co_return cat(cut, " flows closed; it reaches nothing, and nothing reaches it");
}

Task<std::string> Containment::revoke_tokens(Incident& incident) {
  auto& tokens = sources_.identity.tokens();
  // Once more when it goes on: what a former daemon had found stays, for those are revoked already.
  const auto found = tokens.reaching(incident.workspace_id);
  for (auto& token : to_json(found)) incident.tokens.emplace_back(std::move(token));
  if (!found.empty()) (void)co_await book_.keep(incident, store::Durability::process_death);
  std::vector<std::string> ids;
  ids.reserve(found.size());
  for (const auto& token : found) ids.push_back(token.id);
  CO_TRY_ASSIGN(const auto ended,
                co_await tokens.revoke_all(std::move(ids), {incident.by, {}, {}}, cat("contained: ", incident.id)));
  const auto info = sources_.manager.get(incident.workspace_id);
  const auto secrets = info ? info->spec.secrets.size() : 0;
  co_return cat(ended, " tokens revoked; ", secrets, " secrets withheld");
}

// Where it stands still; what has ended has no memory, and its disk is kept by the hold.
Task<std::string> Containment::preserve(Incident& incident) {
  if (!incident.snapshot.empty()) co_return cat(incident.snapshot, " was taken before");
  CO_TRY_ASSIGN(const auto info, sources_.manager.get(incident.workspace_id));
  // One that sleeps has its memory on disk.
  const bool asleep = info.state == model::State::suspended || info.state == model::State::paused;
  if (info.vm_id.empty() && !asleep) {
    co_return std::string("it does not run: there is no memory to keep, and its disk is held");
  }
  CO_TRY_ASSIGN(const auto snapshot, co_await sources_.manager.preserve(incident.workspace_id));
  incident.snapshot = snapshot.id;
  co_return cat("memory and disk are kept in ", snapshot.id, ", ", snapshot.bytes >> 20, " MiB under a key of its own");
}

Task<Incident> Containment::release(std::string workspace, std::string why, model::Origin by) {
  if (why.empty()) co_return fail(Code::InvalidArgument, "/why: say why it is given back");
  if (why.size() > kMaxWhy) co_return fail(Code::InvalidArgument, cat("/why: longer than ", kMaxWhy, " bytes"));
  CO_TRY_ASSIGN(const auto info, sources_.manager.get(workspace));
  co_return co_await workspace::run_owned<Incident>(tasks_, "release of a workspace",
                                                    give_back(info.id, std::move(why), std::move(by)));
}

Task<Incident> Containment::give_back(std::string workspace_id, std::string why, model::Origin by) {
  CO_TRY_ASSIGN(const auto place, co_await turn_of(workspace_id));
  const auto* open = book_.of(workspace_id);
  if (open == nullptr) {
    co_return fail(Code::FailedPrecondition, cat("the workspace '", workspace_id, "' is not contained"));
  }
  Incident incident = *open;
  incident.released_at = system_clock::now();
  incident.released_by = by.actor;
  incident.release_why = std::move(why);
  CO_TRY(co_await book_.close(incident));
  recorder_.note({std::move(by), subject_of(incident), model::WorkspaceReleased{incident.id, incident.release_why}});
  CO_TRY(co_await sources_.networks.release(workspace_id));
  co_return incident;
}

void Containment::go_on() {
  for (auto& incident : book_.all_open()) {
    tasks_.spawn("containment of a workspace", go_on_with(std::move(incident)));
  }
}

Task<void> Containment::go_on_with(Incident incident) {
  const auto info = sources_.manager.get(incident.workspace_id);
  if (!info && info.error().code == Code::NotFound) {
    // With its machine it lost all there was of it: nothing is left to be kept.
    CO_TRY_ASSIGN(const auto place, co_await turn_of(incident.workspace_id));
    incident.released_at = system_clock::now();
    incident.release_why = "the workspace is no more";
    co_return co_await book_.close(std::move(incident));
  }
  if (incident.finished_at && incident.complete()) co_return Status{};
  log_warn("a containment goes on", {{"workspace", incident.workspace_id}, {"incident", incident.id}});
  CO_TRY(co_await carry_out(incident.workspace_id, Clock::now(), {incident.by, {}, {}}));
  co_return Status{};
}

Task<void> Containment::stop() { return tasks_.join(); }

}  // namespace cofferdam::incident

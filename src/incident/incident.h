// A containment as a value: what was done to cut a workspace off from everything, when, and what was found.
#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::incident {

using Time = std::chrono::system_clock::time_point;

inline constexpr std::size_t kMaxWhy = 500;  // bytes

// In the order they are taken: what stops the harm comes first, what keeps the evidence next.
enum class Step { vcpus, flows, tokens, snapshot, hold, report };
inline constexpr Step kSteps[] = {Step::vcpus, Step::flows, Step::tokens, Step::snapshot, Step::hold, Step::report};
std::string_view step_name(Step step);

struct StepTaken {
  Step step = Step::vcpus;
  Time at;                             // when it was over
  std::chrono::microseconds after{0};  // after the request, or after the start of the daemon that went on with it
  std::string detail;                  // for people: "3 flows closed"
  std::string error;                   // empty: it was done
};

struct Incident {
  std::string id;  // "inc_…"
  std::string workspace_id, namespace_id, workspace_name;
  std::string why;  // at most kMaxWhy
  std::string by;   // a principal, or the rule of an alert
  Time began_at;
  std::vector<StepTaken> steps;  // each once, in the order of kSteps
  boost::json::array tokens;     // that could reach it when it began, as objects with an "id"
  std::string snapshot;          // its memory and disk as they were found; empty: none was taken
  boost::json::object report;
  std::optional<Time> finished_at;  // every step was taken; some may have failed
  std::optional<Time> released_at;
  std::string released_by, release_why;

  [[nodiscard]] bool open() const { return !released_at; }
  [[nodiscard]] const StepTaken* find(Step step) const;
  // Replaces what was noted of the step before.
  void note(StepTaken taken);
  [[nodiscard]] std::vector<std::string> token_ids() const;
  // Whether every step was taken, and none failed.
  [[nodiscard]] bool complete() const;
};

// As the API tells it; the same is kept.
boost::json::object to_json(const Incident& incident);
Result<Incident> incident_from_text(std::string_view text);

}  // namespace cofferdam::incident

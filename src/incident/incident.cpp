#include "incident/incident.h"

#include <algorithm>
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;

constexpr double kMsPerSecond = 1000.0;

json::value time_or_null(const std::optional<Time>& time) {
  if (!time) return nullptr;
  return json::value(format_rfc3339(*time));
}

Result<std::string> text_of(const json::object& object, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(object, "", field));
  return std::move(text).value_or("");
}

Result<std::optional<Time>> time_of(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto text, model::get_string(object, "", field));
  if (!text) return std::nullopt;
  TRY_ASSIGN(const auto time, parse_rfc3339(*text));
  return time;
}

Result<StepTaken> step_from(const json::object& object) {
  StepTaken taken;
  TRY_ASSIGN(const auto name, text_of(object, "step"));
  const auto* found =
      std::find_if(std::begin(kSteps), std::end(kSteps), [&](Step step) { return step_name(step) == name; });
  if (found == std::end(kSteps)) return fail(Code::DataLoss, cat("a step of a containment is called '", name, "'"));
  taken.step = *found;
  TRY_ASSIGN(const auto at, time_of(object, "at"));
  taken.at = at.value_or(Time());
  TRY_ASSIGN(const auto after, model::get_number(object, "", "after_ms"));
  taken.after = std::chrono::microseconds(static_cast<std::int64_t>(after.value_or(0) * kMsPerSecond));
  TRY_ASSIGN(taken.detail, text_of(object, "detail"));
  TRY_ASSIGN(taken.error, text_of(object, "error"));
  return taken;
}

}  // namespace

std::string_view step_name(Step step) {
  switch (step) {
    case Step::vcpus:
      return "vcpus";
    case Step::flows:
      return "flows";
    case Step::tokens:
      return "tokens";
    case Step::snapshot:
      return "snapshot";
    case Step::hold:
      return "hold";
    case Step::report:
      return "report";
  }
  return "report";
}

const StepTaken* Incident::find(Step step) const {
  const auto found = std::find_if(steps.begin(), steps.end(), [&](const auto& taken) { return taken.step == step; });
  return found == steps.end() ? nullptr : &*found;
}

void Incident::note(StepTaken taken) {
  std::erase_if(steps, [&](const auto& before) { return before.step == taken.step; });
  const auto after =
      std::find_if(steps.begin(), steps.end(), [&](const auto& other) { return other.step > taken.step; });
  steps.insert(after, std::move(taken));
}

std::vector<std::string> Incident::token_ids() const {
  std::vector<std::string> ids;
  for (const auto& token : tokens) {
    const auto* object = token.if_object();
    const auto* name = object == nullptr ? nullptr : object->if_contains("id");
    if (name != nullptr && name->is_string()) ids.emplace_back(name->get_string());
  }
  return ids;
}

bool Incident::complete() const {
  return std::all_of(std::begin(kSteps), std::end(kSteps), [this](Step step) {
    const auto* taken = find(step);
    return taken != nullptr && taken->error.empty();
  });
}

json::object to_json(const Incident& incident) {
  json::array steps;
  for (const auto& taken : incident.steps) {
    json::object step{{"step", step_name(taken.step)},
                      {"at", format_rfc3339(taken.at)},
                      {"after_ms", static_cast<double>(taken.after.count()) / kMsPerSecond},
                      {"detail", taken.detail}};
    if (!taken.error.empty()) step["error"] = taken.error;
    steps.emplace_back(std::move(step));
  }
  const std::string_view state = !incident.open() ? "released" : incident.finished_at ? "contained" : "containing";
  return {{"id", incident.id},
          {"workspace", incident.workspace_id},
          {"namespace", incident.namespace_id},
          {"name", incident.workspace_name},
          {"state", state},
          {"why", incident.why},
          {"by", incident.by},
          {"began_at", format_rfc3339(incident.began_at)},
          {"finished_at", time_or_null(incident.finished_at)},
          {"steps", std::move(steps)},
          {"tokens", incident.tokens},
          {"snapshot", incident.snapshot},
          {"released_at", time_or_null(incident.released_at)},
          {"released_by", incident.released_by},
          {"release_why", incident.release_why},
          {"report", incident.report}};
}

Result<Incident> incident_from_text(std::string_view text) {
  TRY_ASSIGN(const auto parsed, model::parse_json(text));
  if (!parsed.is_object()) return fail(Code::DataLoss, "the record of a containment is no object");
  const auto& object = parsed.get_object();
  Incident incident;
  TRY_ASSIGN(incident.id, text_of(object, "id"));
  TRY_ASSIGN(incident.workspace_id, text_of(object, "workspace"));
  TRY_ASSIGN(incident.namespace_id, text_of(object, "namespace"));
  TRY_ASSIGN(incident.workspace_name, text_of(object, "name"));
  TRY_ASSIGN(incident.why, text_of(object, "why"));
  TRY_ASSIGN(incident.by, text_of(object, "by"));
  TRY_ASSIGN(const auto began, time_of(object, "began_at"));
  incident.began_at = began.value_or(Time());
  TRY_ASSIGN(incident.finished_at, time_of(object, "finished_at"));
  TRY_ASSIGN(incident.released_at, time_of(object, "released_at"));
  TRY_ASSIGN(incident.released_by, text_of(object, "released_by"));
  TRY_ASSIGN(incident.release_why, text_of(object, "release_why"));
  TRY_ASSIGN(incident.snapshot, text_of(object, "snapshot"));
  if (const auto* steps = object.if_contains("steps"); steps != nullptr && steps->is_array()) {
    for (const auto& item : steps->get_array()) {
      if (!item.is_object()) return fail(Code::DataLoss, "a step of a containment is no object");
      TRY_ASSIGN(auto taken, step_from(item.get_object()));
      incident.note(std::move(taken));
    }
  }
  if (const auto* tokens = object.if_contains("tokens"); tokens != nullptr && tokens->is_array()) {
    incident.tokens = tokens->get_array();
  }
  if (const auto* report = object.if_contains("report"); report != nullptr && report->is_object()) {
    incident.report = report->get_object();
  }
  return incident;
}

}  // namespace cofferdam::incident

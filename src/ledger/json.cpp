#include "ledger/json.h"

#include <boost/json/array.hpp>
#include <chrono>

#include "base/text.h"
#include "base/time.h"

namespace cofferdam::ledger {
namespace {

namespace json = boost::json;

std::string time_text(std::int64_t time_us) {
  return format_rfc3339(std::chrono::system_clock::time_point(std::chrono::microseconds(time_us)));
}

json::value value_of(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return json::value(*text);
  json::array texts;
  for (const auto& text : std::get<model::Texts>(value)) texts.emplace_back(text);
  return texts;
}

// The class of an event and what it did, in OCSF's numbers.
struct Class {
  int category, uid, activity;
  const char* name;
};
constexpr int kOther = 99;
constexpr Class kLifecycle{6, 6002, kOther, "Application Lifecycle"};
constexpr Class kApi{6, 6003, kOther, "API Activity"};
constexpr Class kEntity{3, 3004, kOther, "Entity Management"};
constexpr Class kAuthentication{3, 3002, 1, "Authentication"};
constexpr Class kProcess{1, 1007, kOther, "Process Activity"};
constexpr Class kFinding{2, 2004, 1, "Detection Finding"};
constexpr Class kNetwork{4, 4001, kOther, "Network Activity"};

Class with(Class of, int activity) {
  of.activity = activity;
  return of;
}

Class class_of(const Decoded& entry) {
  using namespace model;
  constexpr std::uint8_t kFirst = 16;
  constexpr int kCreate = 1, kRead = 2, kUpdate = 3, kDelete = 4;
  switch (entry.kind) {
    case ApiChanged::kKind.number: {
      const auto method = entry.text(kFirst);
      if (method == "POST") return with(kApi, kCreate);
      if (method == "PUT" || method == "PATCH") return with(kApi, kUpdate);
      if (method == "DELETE") return with(kApi, kDelete);
      return kApi;
    }
    case AlertRaised::kKind.number:
      return kFinding;
    case ApiRefused::kKind.number:
    case TokenRefused::kKind.number:
      return kAuthentication;
    case TokenIssued::kKind.number:
    case SecretSet::kKind.number:
    case KeyCreated::kKind.number:
    case SnapshotTaken::kKind.number:
    case LedgerKeyed::kKind.number:
      return with(kEntity, kCreate);
    case TokenRotated::kKind.number:
    case PolicyChanged::kKind.number:
    case LinkChanged::kKind.number:
    case PortChanged::kKind.number:
    case ImageChanged::kKind.number:
      return with(kEntity, kUpdate);
    case SecretUsed::kKind.number:
      return with(kEntity, kRead);
    case TokenRevoked::kKind.number:
    case TokenExpired::kKind.number:
    case SecretRemoved::kKind.number:
    case KeyDestroyed::kKind.number:
    case SnapshotRemoved::kKind.number:
    case LedgerPruned::kKind.number:
      return with(kEntity, kDelete);
    case WorkspaceCreated::kKind.number:
    case WorkspaceForked::kKind.number:
      return with(kLifecycle, 1);  // install
    case WorkspaceRemoved::kKind.number:
      return with(kLifecycle, 2);  // remove
    case DaemonStarted::kKind.number:
      return with(kLifecycle, 3);
    case DaemonStopped::kKind.number:
      return with(kLifecycle, 4);
    case StateRestored::kKind.number:
      return with(kLifecycle, 8);  // update
    case WorkspaceStepped::kKind.number: {
      const auto step = entry.text(kFirst);
      if (step == "started" || step == "resumed" || step == "woken") return with(kLifecycle, 3);
      if (step == "stopped" || step == "paused" || step == "suspended" || step == "failed") return with(kLifecycle, 4);
      return with(kLifecycle, 8);  // update
    }
    case ExecStarted::kKind.number:
      return with(kProcess, 1);  // launch
    case ExecEnded::kKind.number:
      return with(kProcess, 2);  // terminate
    case ExecRefused::kKind.number:
      return kProcess;
    case ConnectionAllowed::kKind.number:
      return with(kNetwork, 1);  // open
    case ConnectionClosed::kKind.number:
      return with(kNetwork, 2);
    case ConnectionRefused::kKind.number:
      return with(kNetwork, 5);  // refuse
    default:
      return kLifecycle;
  }
}

bool failed(const Decoded& entry) {
  using namespace model;
  constexpr std::uint8_t kApiCode = 20;
  switch (entry.kind) {
    case ApiRefused::kKind.number:
    case TokenRefused::kKind.number:
    case ExecRefused::kKind.number:
    case ConnectionRefused::kKind.number:
    case LedgerGap::kKind.number:
    case WitnessFailed::kKind.number:
      return true;
    case ApiChanged::kKind.number:
      return !entry.text(kApiCode).empty();
    default:
      return false;
  }
}

}  // namespace

json::object to_json(const Decoded& entry) {
  json::object object{{"number", entry.stamp.number},
                      {"time", time_text(entry.stamp.time_us)},
                      {"uptime_us", entry.stamp.uptime_us},
                      {"kind", entry.kind_text()}};
  // Zeros are not written down, and mean something here: the exit status of a command that went well.
  for (const auto& field : model::fields_of(entry.kind)) {
    if (field.type == model::FieldInfo::Type::number) object[field.name] = 0;
  }
  for (const auto& field : entry.fields) {
    const auto name = model::field_name(entry.kind, field.number);
    object[name.empty() ? cat("field_", static_cast<int>(field.number)) : std::string(name)] = value_of(field.value);
  }
  return object;
}

json::object to_ocsf(const Decoded& entry, std::string_view origin) {
  const Class of = class_of(entry);
  constexpr int kActivities = 100;
  constexpr int kUsPerMs = 1000;
  const bool bad = failed(entry);
  json::object object{{"class_uid", of.uid},
                      {"class_name", of.name},
                      {"category_uid", of.category},
                      {"activity_id", of.activity},
                      {"type_uid", static_cast<std::int64_t>(of.uid) * kActivities + of.activity},
                      {"time", entry.stamp.time_us / kUsPerMs},
                      {"severity_id", bad ? 2 : 1},
                      {"status_id", bad ? 2 : 1},
                      {"metadata",
                       {{"version", "1.3.0"},
                        {"product", {{"name", "Cofferdam"}, {"vendor_name", "Cofferdam"}}},
                        {"log_name", origin},
                        {"log_version", "1"},
                        {"uid", cat(origin, "#", entry.stamp.number)},
                        {"sequence", entry.stamp.number}}},
                      {"message", entry.kind_text()}};
  if (const auto actor = entry.text(kActor); !actor.empty()) object["actor"] = {{"user", {{"uid", actor}}}};
  if (const auto address = entry.text(kAddress); !address.empty()) object["src_endpoint"] = {{"ip", address}};
  if (const auto workspace = entry.text(kWorkspace); !workspace.empty()) {
    object["resources"] = json::array{{{"uid", workspace}, {"type", "workspace"}}};
  }
  json::object all = to_json(entry);
  if (of.uid == kApi.uid) {
    const auto* route = all.if_contains("route");
    json::object api{{"operation", route == nullptr ? json::value("") : *route}};
    if (const auto request = entry.text(kRequest); !request.empty()) api["request"] = {{"uid", request}};
    object["api"] = std::move(api);
  }
  if (of.uid == kNetwork.uid) {
    json::object destination;
    for (const auto& [from, to] : {std::pair("name", "hostname"), std::pair("ip", "ip"), std::pair("port", "port")}) {
      if (const auto* value = all.if_contains(from)) destination[to] = *value;
    }
    object["dst_endpoint"] = std::move(destination);
  }
  if (of.uid == kProcess.uid) {
    json::object process;
    if (const auto* exec = all.if_contains("exec")) process["uid"] = *exec;
    if (const auto* argv = all.if_contains("argv"); argv != nullptr && argv->is_array()) {
      std::string line;
      for (const auto& word : argv->get_array())
        line += cat(line.empty() ? "" : " ", std::string_view(word.get_string()));
      process["cmd_line"] = line;
    }
    object["process"] = std::move(process);
    if (const auto* exit = all.if_contains("exit")) object["exit_code"] = *exit;
  }
  object["unmapped"] = std::move(all);
  return object;
}

}  // namespace cofferdam::ledger

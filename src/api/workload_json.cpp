#include "api/workload_json.h"

#include "api/call.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxWorkloads = 64;

// A list of words, or a line for the shell.
Result<std::optional<std::vector<std::string>>> command_field(const json::object& object, std::string_view path) {
  for (const char* field : {"cmd", "command"}) {
    const auto* value = object.if_contains(field);
    if (value == nullptr || value->is_null()) continue;
    if (const auto* line = value->if_string()) {
      return std::vector<std::string>{"/bin/sh", "-c", std::string(*line)};
    }
    return get_texts(object, path, field);
  }
  return std::nullopt;
}

}  // namespace

Status check_target(const json::object& object, std::string_view path) {
  TRY_ASSIGN(const auto target, model::get_string(object, path, "target"));
  if (!target || target->empty() || *target == "default" || *target == "local") return {};
  return fail(Code::InvalidArgument, cat(path, "/target: a workspace has one target, 'local'"));
}

namespace {

json::object map_to_json(const std::map<std::string, std::string>& map) {
  json::object object;
  for (const auto& [key, value] : map) object[key] = to_utf8(value);
  return object;
}

}  // namespace

Result<workspace::WorkloadChange> workload_change_from_json(const json::object& object) {
  workspace::WorkloadChange change;
  TRY_ASSIGN(change.name, model::get_string(object, "", "name"));
  TRY_ASSIGN(change.argv, command_field(object, ""));
  TRY_ASSIGN(change.env, get_texts(object, "", "env"));
  TRY_ASSIGN(change.working_dir, model::get_string(object, "", "working_dir"));
  TRY_ASSIGN(change.user, model::get_string(object, "", "user"));
  TRY_ASSIGN(change.restart_policy, restart_policy_field(object, ""));
  TRY_ASSIGN(const auto restarts, get_whole(object, "", "max_restarts", 0, 1'000'000));
  if (restarts) change.max_restarts = static_cast<std::uint32_t>(*restarts);
  TRY_ASSIGN(change.restart_delay, get_duration(object, "", "restart_delay"));
  TRY_ASSIGN(change.restart_backoff, model::get_number(object, "", "restart_backoff"));
  TRY_ASSIGN(change.enabled, model::get_flag(object, "", "enabled"));
  TRY_ASSIGN(const auto on_exit, model::get_string(object, "", "vm_on_exit"));
  if (on_exit) {
    auto parsed = workspace::parse_vm_on_exit(*on_exit);
    if (!parsed) return fail(std::move(parsed.error()).in("/vm_on_exit"));
    change.vm_on_exit = *parsed;
  }
  TRY(check_target(object, ""));
  TRY_ASSIGN(const auto log_path, model::get_string(object, "", "log_path"));
  if (log_path && !log_path->empty()) {
    return fail(Code::InvalidArgument, "/log_path: output goes to no file of the workspace",
                "read it with GET /workspace/ID/workloads/ID/logs, or redirect it in the command itself");
  }
  TRY_ASSIGN(change.labels, get_text_map(object, "", "labels"));
  TRY_ASSIGN(change.annotations, get_text_map(object, "", "annotations"));
  TRY_ASSIGN(const auto log, get_whole(object, "", "max_log_size_mb", 1, 1024));
  if (log) change.max_log_size_mb = static_cast<std::uint32_t>(*log);
  return change;
}

Result<NamedWorkload> workload_from_json(const json::object& object, std::string_view path) {
  auto change = workload_change_from_json(object);
  if (!change) {
    // The fields are named from the top of the workload's own object.
    Error error = std::move(change.error());
    error.message = cat(path, error.message);
    return fail(std::move(error));
  }
  NamedWorkload workload;
  auto& spec = workload.spec;
  TRY_ASSIGN(const auto id, model::get_string(object, path, "id"));
  workload.id = id.value_or("");
  if (!change->argv) return fail(Code::InvalidArgument, cat(path, "/cmd: is missing"));
  spec.name = change->name.value_or("");
  spec.argv = std::move(*change->argv);
  spec.env = change->env.value_or(std::vector<std::string>{});
  spec.working_dir = change->working_dir.value_or("");
  spec.user = change->user.value_or("");
  spec.restart_policy = change->restart_policy.value_or(spec.restart_policy);
  spec.max_restarts = change->max_restarts.value_or(spec.max_restarts);
  spec.restart_delay = change->restart_delay.value_or(spec.restart_delay);
  spec.restart_backoff = change->restart_backoff.value_or(spec.restart_backoff);
  spec.enabled = change->enabled.value_or(true);
  spec.vm_on_exit = change->vm_on_exit.value_or(spec.vm_on_exit);
  spec.labels = change->labels.value_or(workspace::Labels{});
  spec.annotations = change->annotations.value_or(workspace::Labels{});
  spec.max_log_size_mb = change->max_log_size_mb.value_or(spec.max_log_size_mb);
  return workload;
}

Result<std::vector<NamedWorkload>> workloads_of_create(const json::object& body) {
  std::vector<NamedWorkload> all;
  TRY_ASSIGN(const auto given, get_object(body, "", "config"));
  const json::object config = given.value_or(json::object{});
  TRY_ASSIGN(auto cmd, command_field(config, "/config"));
  if (cmd) {
    TRY_ASSIGN(const auto keep, model::get_flag(config, "/config", "keep_logs"));
    NamedWorkload main;
    main.id = main.spec.name = "cmd";
    main.spec.origin = workspace::Origin::config;
    main.spec.keep_output = keep.value_or(true) ? workspace::KeepOutput::yes : workspace::KeepOutput::no;
    main.spec.argv = std::move(*cmd);
    all.push_back(std::move(main));
  }
  const auto* listed = config.if_contains("workloads");
  if (listed == nullptr || listed->is_null()) return all;
  const auto* list = listed->if_array();
  if (list == nullptr) return fail(Code::InvalidArgument, "/config/workloads: must be a list of objects");
  if (list->size() > kMaxWorkloads) {
    return fail(Code::InvalidArgument, cat("/config/workloads: more than ", kMaxWorkloads));
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto path = cat("/config/workloads/", i);
    const auto* object = (*list)[i].if_object();
    if (object == nullptr) return fail(Code::InvalidArgument, cat(path, ": must be an object"));
    TRY_ASSIGN(auto workload, workload_from_json(*object, path));
    workload.spec.origin = workspace::Origin::config;
    // The same create, repeated, finds it there.
    if (workload.id.empty()) workload.id = cat("config-", i);
    all.push_back(std::move(workload));
  }
  return all;
}

json::object to_json(const workspace::Workload& workload) {
  const auto& spec = workload.spec;
  json::array argv, env;
  for (const auto& word : spec.argv) argv.emplace_back(to_utf8(word));
  for (const auto& item : spec.env) env.emplace_back(to_utf8(item));
  json::object object{{"id", workload.id},
                      {"name", to_utf8(spec.name)},
                      {"status", workspace::workload_state_name(workload.state)},
                      {"state", workspace::workload_state_name(workload.state)},
                      {"status_detail", to_utf8(workload.detail)},
                      {"cmd", argv},
                      {"command", argv},
                      {"env", std::move(env)},
                      {"working_dir", to_utf8(spec.working_dir)},
                      {"user", to_utf8(spec.user)},
                      {"restart_policy", model::restart_policy_name(spec.restart_policy)},
                      {"max_restarts", spec.max_restarts},
                      {"restart_delay", seconds_or_null(spec.restart_delay)},
                      {"restart_backoff", spec.restart_backoff},
                      {"restart_count", workload.restart_count},
                      {"enabled", spec.enabled},
                      {"origin", spec.origin == workspace::Origin::config ? "config" : "api"},
                      {"vm_on_exit", workspace::vm_on_exit_name(spec.vm_on_exit)},
                      {"pid", nullptr},
                      {"guest_pid", nullptr},
                      {"exit_code", nullptr},
                      {"labels", map_to_json(spec.labels)},
                      {"annotations", map_to_json(spec.annotations)},
                      {"max_log_size_mb", spec.max_log_size_mb},
                      {"created_at", format_rfc3339(workload.created_at)},
                      {"started_at", time_or_null(workload.started_at)},
                      {"updated_at", format_rfc3339(workload.updated_at)}};
  if (workload.guest_pid) object["pid"] = object["guest_pid"] = *workload.guest_pid;
  if (workload.exit_code) object["exit_code"] = *workload.exit_code;
  return object;
}

json::object to_json(const workspace::WorkloadStats& stats) {
  constexpr std::int64_t kMsPerSecond = 1000;
  const auto state = workspace::workload_state_name(stats.state);
  json::object object{{"id", stats.workload_id},
                      {"workload_id", stats.workload_id},
                      {"state", state},
                      {"status", state},
                      {"cpu_percent", stats.cpu_percent},
                      {"cpu_usage", stats.cpu_percent},
                      {"cpu_ms", stats.cpu_ms},
                      {"rss_bytes", stats.rss_bytes},
                      {"memory_usage", stats.rss_bytes},
                      {"uptime_seconds", stats.uptime.count() / kMsPerSecond},
                      {"pid", nullptr},
                      {"ports", json::array{}}};
  if (stats.guest_pid) object["pid"] = *stats.guest_pid;
  return object;
}

json::object to_json(const workspace::WorkloadLine& line) {
  const auto text = to_utf8(line.text);
  return {{"workload_id", line.workload_id},
          {"timestamp", format_rfc3339(line.time)},
          {"stream", line.stream == workspace::LogStream::stderr_ ? "stderr" : "stdout"},
          {"message", text},
          {"data", text},
          {"line", text}};
}

}  // namespace cofferdam::api

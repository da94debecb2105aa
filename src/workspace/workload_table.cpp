#include "workspace/workload_table.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "base/text.h"
#include "model/json.h"
#include "store/database.h"
#include "workspace/record_json.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

Result<double> get_double(const json::object& object, std::string_view field, double otherwise) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  const double value = number.value_or(otherwise);
  if (!(value >= 0) || value > 1e15) return fail(Code::DataLoss, cat("'", field, "' is out of range"));
  return value;
}

Result<Labels> get_labels(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr) return Labels{};
  return model::metadata_from_json(*value);
}

}  // namespace

std::string workload_to_text(const Workload& workload) {
  const auto& spec = workload.spec;
  json::object object{{"id", workload.id},
                      {"workspace_id", workload.workspace_id},
                      {"name", spec.name},
                      {"cmd", to_array(spec.argv)},
                      {"env", to_array(spec.env)},
                      {"working_dir", spec.working_dir},
                      {"user", spec.user},
                      {"restart_policy", model::restart_policy_name(spec.restart_policy)},
                      {"max_restarts", spec.max_restarts},
                      {"restart_delay_ms", spec.restart_delay.count()},
                      {"restart_backoff", spec.restart_backoff},
                      {"enabled", spec.enabled},
                      {"vm_on_exit", vm_on_exit_name(spec.vm_on_exit)},
                      {"origin", spec.origin == Origin::config ? "config" : "api"},
                      {"keep_output", spec.keep_output == KeepOutput::yes},
                      {"labels", model::metadata_to_json(spec.labels)},
                      {"annotations", model::metadata_to_json(spec.annotations)},
                      {"max_log_size_mb", spec.max_log_size_mb},
                      {"created_at", to_unix_ms(workload.created_at)},
                      {"updated_at", to_unix_ms(workload.updated_at)}};
  return json::serialize(object);
}

Result<Workload> workload_from_text(std::string_view text) {
  TRY_ASSIGN(const json::value value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the record is not an object");
  Workload workload;
  auto& spec = workload.spec;
  TRY_ASSIGN(workload.id, get_text(*object, "id"));
  TRY_ASSIGN(workload.workspace_id, get_text(*object, "workspace_id"));
  TRY_ASSIGN(spec.name, get_text(*object, "name"));
  spec.argv = get_strings(*object, "cmd");
  spec.env = get_strings(*object, "env");
  TRY_ASSIGN(spec.working_dir, get_text(*object, "working_dir"));
  TRY_ASSIGN(spec.user, get_text(*object, "user"));
  TRY_ASSIGN(const auto policy, get_text(*object, "restart_policy"));
  TRY_ASSIGN(spec.restart_policy, model::parse_restart_policy(policy));
  TRY_ASSIGN(const auto max_restarts, get_double(*object, "max_restarts", 0));
  spec.max_restarts = static_cast<std::uint32_t>(max_restarts);
  TRY_ASSIGN(const auto delay, get_double(*object, "restart_delay_ms", 1000));
  spec.restart_delay = std::chrono::milliseconds(static_cast<std::int64_t>(delay));
  TRY_ASSIGN(spec.restart_backoff, get_double(*object, "restart_backoff", 2));
  TRY_ASSIGN(const auto enabled, model::get_flag(*object, "", "enabled"));
  spec.enabled = enabled.value_or(true);
  TRY_ASSIGN(const auto on_exit, get_text(*object, "vm_on_exit"));
  TRY_ASSIGN(spec.vm_on_exit, parse_vm_on_exit(on_exit));
  TRY_ASSIGN(const auto origin, get_text(*object, "origin"));
  if (origin == "config") spec.origin = Origin::config;
  TRY_ASSIGN(const auto keep_output, model::get_flag(*object, "", "keep_output"));
  if (keep_output.value_or(false)) spec.keep_output = KeepOutput::yes;
  TRY_ASSIGN(spec.labels, get_labels(*object, "labels"));
  TRY_ASSIGN(spec.annotations, get_labels(*object, "annotations"));
  TRY_ASSIGN(const auto log_size, get_double(*object, "max_log_size_mb", 1));
  spec.max_log_size_mb = static_cast<std::uint32_t>(log_size);
  TRY_ASSIGN(const auto created, get_time(*object, "created_at"));
  TRY_ASSIGN(const auto updated, get_time(*object, "updated_at"));
  workload.created_at = created.value_or(system_clock::time_point());
  workload.updated_at = updated.value_or(workload.created_at);
  TRY(validate(spec));
  return workload;
}

Task<std::vector<Workload>> WorkloadTable::load() const {
  auto read = [](store::Connection& connection) {
    return connection.query("SELECT workspace_id, id, record FROM workloads ORDER BY created_at, id");
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_->run(std::move(read)));
  std::vector<Workload> all;
  for (const auto& row : rows) {
    auto workload = workload_from_text(row.text(2));
    if (workload && workload->workspace_id == row.text(0) && workload->id == row.text(1)) {
      all.push_back(std::move(*workload));
    } else {
      log_error("the record of a workload cannot be read", {{"workspace", row.text(0)}, {"workload", row.text(1)}});
    }
  }
  co_return all;
}

Task<void> WorkloadTable::write(Workload workload) const {
  store::Values row{workload.workspace_id, workload.id, workload.spec.name, to_unix_ms(workload.created_at),
                    workload_to_text(workload)};
  auto work = [row = std::move(row)](store::Connection& connection) -> Status {
    TRY(
        connection.execute("INSERT INTO workloads (workspace_id, id, name, created_at, record) "
                           "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (workspace_id, id) DO UPDATE SET "
                           "name = excluded.name, record = excluded.record",
                           row));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> WorkloadTable::remove(std::string workspace_id, std::string id) const {
  auto work = [workspace_id = std::move(workspace_id), id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM workloads WHERE workspace_id = $1 AND id = $2", {workspace_id, id}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

}  // namespace cofferdam::workspace

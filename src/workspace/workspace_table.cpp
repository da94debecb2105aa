#include "workspace/workspace_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <set>

#include "base/bytes.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "model/json.h"
#include "store/database.h"
#include "workspace/folders.h"
#include "workspace/record_json.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

constexpr std::size_t kMaxRecordBytes = 2U << 20;
constexpr std::string_view kFile = "workspace.json";
constexpr int kFormat = 1;

json::object resources_to_json(const Resources& resources) {
  json::object object;
  if (resources.cpu_millis) object["cpu_millis"] = *resources.cpu_millis;
  if (resources.memory_mib) object["memory_mib"] = *resources.memory_mib;
  if (resources.disk_mib) object["disk_mib"] = *resources.disk_mib;
  return object;
}

Result<std::optional<std::uint32_t>> get_count(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number) return std::nullopt;
  if (!(*number >= 0) || *number > UINT32_MAX) return fail(Code::DataLoss, cat("the record's ", field, " is no count"));
  return static_cast<std::uint32_t>(*number);
}

Result<std::optional<Resources>> get_resources(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || !value->is_object()) return std::nullopt;
  Resources resources;
  TRY_ASSIGN(resources.cpu_millis, get_count(value->get_object(), "cpu_millis"));
  TRY_ASSIGN(resources.memory_mib, get_count(value->get_object(), "memory_mib"));
  TRY_ASSIGN(resources.disk_mib, get_count(value->get_object(), "disk_mib"));
  return resources;
}

constexpr std::string_view kUpsert =
    "INSERT INTO workspaces (id, name, slug, namespace_id, mode, state, idempotency_key, created_at, updated_at, "
    "record) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
    "slug = excluded.slug, namespace_id = excluded.namespace_id, mode = excluded.mode, state = excluded.state, "
    "idempotency_key = excluded.idempotency_key, updated_at = excluded.updated_at, record = excluded.record";

store::Values to_row(const Record& record) {
  store::Value key;
  if (!record.idempotency_key.empty()) key = record.idempotency_key;
  return {record.id,
          record.spec.name,
          record.spec.slug,
          record.spec.namespace_id,
          std::string(record.spec.mode == model::Mode::permanent ? "permanent" : "temporary"),
          std::string(model::state_name(record.state)),
          std::move(key),
          to_unix_ms(record.created_at),
          to_unix_ms(record.updated_at),
          record_to_text(record)};
}

// Whether `text` is the record of the workspace `id`.
Result<Record> read_record(const std::string& id, std::string_view text) {
  auto record = record_from_text(text);
  if (record && (record->id != id || !is_id(id, "ws"))) {
    return fail(Code::DataLoss, cat("the record names another workspace, '", record->id, "'"));
  }
  if (!record) return fail(std::move(record.error()).in(cat("the record of '", id, "'")));
  return record;
}

}  // namespace

void seal_env(Record& record, const SecureBytes& key) {
  // Without the key what was sealed before stays as it is.
  if (!key.empty()) record.sealed_env.clear();
  if (!key.empty() && !record.spec.env.empty()) {
    std::string text;
    ByteWriter writer(text);
    for (const auto& item : record.spec.env) writer.text(item);
    record.sealed_env = to_hex(crypto::seal(key, text, record.id));
  }
  record.spec.env.clear();
}

Status unseal_env(Record& record, const SecureBytes& key) {
  if (record.sealed_env.empty()) return {};
  TRY_ASSIGN(const auto sealed, from_hex(record.sealed_env));
  auto text = crypto::unseal(key, sealed, record.id);
  if (!text) return fail(std::move(text.error()).in(cat("the environment of '", record.id, "'")));
  ByteReader reader(as_bytes(text->view()));
  record.spec.env.clear();
  while (reader.ok() && reader.left() > 0) record.spec.env.emplace_back(reader.text(kMaxRecordBytes));
  if (!reader.ok()) return fail(Code::DataLoss, cat("the environment of '", record.id, "' cannot be read"));
  return {};
}

std::string record_to_text(const Record& record) {
  json::object build;
  for (const auto& [name, value] : record.build) build[name] = value;
  json::object object{{"format", kFormat},
                      {"id", record.id},
                      {"spec", model::workspace_spec_to_json(record.spec)},
                      {"state", model::state_name(record.state)},
                      {"detail", record.detail},
                      {"created_at", to_unix_ms(record.created_at)},
                      {"updated_at", to_unix_ms(record.updated_at)},
                      {"hostname", record.hostname},
                      {"vm_id", record.vm_id},
                      {"from_pool", record.from_pool},
                      {"after_exec", record.after_exec == AfterExec::remove ? "remove" : "keep"},
                      {"image_digest", record.image_digest},
                      {"image_env", to_array(record.image_config.env)},
                      {"image_workdir", record.image_config.workdir},
                      {"image_user", record.image_config.user},
                      {"disk_kept", record.disk_kept},
                      {"disk_header", record.disk_header},
                      {"disk_key_id", record.disk_key_id},
                      {"sealed_env", record.sealed_env},
                      {"build", std::move(build)},
                      {"asleep", record.asleep},
                      {"held", record.held},
                      {"hold_reason", record.hold_reason},
                      {"isolated", record.isolated},
                      {"fixed_disk", record.fixed_disk},
                      {"restarts", record.restarts},
                      {"idempotency_key", record.idempotency_key}};
  if (record.pending) object["pending"] = resources_to_json(*record.pending);
  if (record.started_at) object["started_at"] = to_unix_ms(*record.started_at);
  if (record.expires_at) object["expires_at"] = to_unix_ms(*record.expires_at);
  return json::serialize(object);
}

Result<Record> record_from_text(std::string_view text) {
  TRY_ASSIGN(const json::value value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the record is not an object");
  TRY_ASSIGN(const auto format, model::get_number(*object, "", "format"));
  if (format.value_or(0) != kFormat) {
    return fail(Code::FailedPrecondition, "the record was written by another version of cofferdam");
  }
  Record record;
  TRY_ASSIGN(record.id, get_text(*object, "id"));
  const json::value* spec = object->if_contains("spec");
  if (spec == nullptr) return fail(Code::DataLoss, "the record has no spec");
  TRY_ASSIGN(record.spec, model::workspace_spec_from_json(*spec));
  TRY_ASSIGN(const auto state, get_text(*object, "state"));
  record.state = model::state_from_name(state);
  TRY_ASSIGN(record.detail, get_text(*object, "detail"));
  TRY_ASSIGN(const auto created, get_time(*object, "created_at"));
  TRY_ASSIGN(const auto updated, get_time(*object, "updated_at"));
  record.created_at = created.value_or(system_clock::time_point());
  record.updated_at = updated.value_or(record.created_at);
  TRY_ASSIGN(record.started_at, get_time(*object, "started_at"));
  TRY_ASSIGN(record.expires_at, get_time(*object, "expires_at"));
  TRY_ASSIGN(record.hostname, get_text(*object, "hostname"));
  TRY_ASSIGN(record.vm_id, get_text(*object, "vm_id"));
  TRY_ASSIGN(const auto from_pool, model::get_flag(*object, "", "from_pool"));
  record.from_pool = from_pool.value_or(false);
  TRY_ASSIGN(const auto after_exec, get_text(*object, "after_exec"));
  record.after_exec = after_exec == "remove" ? AfterExec::remove : AfterExec::keep;
  TRY_ASSIGN(record.image_digest, get_text(*object, "image_digest"));
  record.image_config.env = get_strings(*object, "image_env");
  TRY_ASSIGN(record.image_config.workdir, get_text(*object, "image_workdir"));
  TRY_ASSIGN(record.image_config.user, get_text(*object, "image_user"));
  // Before there was such a field, every permanent one kept its disk and no other.
  TRY_ASSIGN(const auto disk_kept, model::get_flag(*object, "", "disk_kept"));
  record.disk_kept = disk_kept.value_or(record.spec.mode == model::Mode::permanent);
  TRY_ASSIGN(record.disk_header, get_text(*object, "disk_header"));
  TRY_ASSIGN(record.disk_key_id, get_text(*object, "disk_key_id"));
  TRY_ASSIGN(record.sealed_env, get_text(*object, "sealed_env"));
  TRY_ASSIGN(record.asleep, get_text(*object, "asleep"));
  if (const auto* build = object->if_contains("build"); build != nullptr && build->is_object()) {
    for (const auto& item : build->get_object()) {
      if (item.value().is_string()) record.build[item.key()] = item.value().get_string();
    }
  }
  TRY_ASSIGN(const auto held, model::get_flag(*object, "", "held"));
  record.held = held.value_or(false);
  TRY_ASSIGN(record.hold_reason, get_text(*object, "hold_reason"));
  TRY_ASSIGN(const auto isolated, model::get_flag(*object, "", "isolated"));
  record.isolated = isolated.value_or(false);
  TRY_ASSIGN(const auto fixed_disk, model::get_flag(*object, "", "fixed_disk"));
  record.fixed_disk = fixed_disk.value_or(false);
  TRY_ASSIGN(const auto restarts, get_count(*object, "restarts"));
  record.restarts = restarts.value_or(0);
  TRY_ASSIGN(record.idempotency_key, get_text(*object, "idempotency_key"));
  TRY_ASSIGN(record.pending, get_resources(*object, "pending"));
  return record;
}

Status WorkspaceTable::open() {
  TRY(make_directories(dir_, 0700));
  TRY_ASSIGN(const auto names, list_directory(dir_));
  std::vector<Record> records;
  for (const auto& name : names) {
    const std::string path = cat(folder(name), "/", kFile);
    if (!path_exists(path)) continue;
    auto text = read_file(path, kMaxRecordBytes);
    auto record = text ? read_record(name, *text) : Result<Record>(fail(std::move(text.error())));
    if (record) {
      records.push_back(std::move(*record));
    } else {
      // Left where it is: a folder without a row is looked at by whoever loads.
      log_warn("an old record cannot be taken over", {{"workspace", name}, {"error", record.error().message}});
    }
  }
  if (records.empty()) return {};
  auto take_over = [&records](store::Connection& connection) -> Status {
    for (const auto& record : records) {
      TRY_ASSIGN(const auto known, connection.query("SELECT 1 FROM workspaces WHERE id = $1", {record.id}));
      if (known.empty()) TRY(connection.execute(kUpsert, to_row(record)));
    }
    return {};
  };
  TRY(database_->run_now(take_over));
  log_info("records of workspaces were taken over into the database", {{"count", cat(records.size())}});
  for (const auto& record : records) TRY(remove_tree(cat(folder(record.id), "/", kFile)));
  return {};
}

std::string WorkspaceTable::folder(const std::string& id) const { return cat(dir_, "/", id); }

std::string WorkspaceTable::disk_path(const std::string& id, const std::string& key_id) const {
  return cat(folder(id), "/disk-", key_id, ".img");
}

Status WorkspaceTable::make_folder(const std::string& id) const { return make_lasting_folder(folder(id)); }

Task<std::vector<StoredRecord>> WorkspaceTable::load() const {
  auto read = [](store::Connection& connection) { return connection.query("SELECT id, record FROM workspaces"); };
  CO_TRY_ASSIGN(const auto rows, co_await database_->run(std::move(read)));
  auto look = [dir = dir_] { return list_directory(dir); };
  CO_TRY_ASSIGN(const auto names, co_await workers_->run(std::move(look)));
  std::vector<StoredRecord> all;
  std::set<std::string> known;
  for (const auto& row : rows) {
    known.insert(row.text(0));
    all.push_back({row.text(0), read_record(row.text(0), row.text(1))});
  }
  for (const auto& name : names) {
    if (!known.contains(name)) all.push_back({name, fail(Code::NotFound, "there is no record of it")});
  }
  co_return all;
}

store::Durability durability_of(const Record& record) {
  const bool nothing_kept =
      record.spec.mode == model::Mode::temporary && !record.disk_kept && record.idempotency_key.empty();
  return nothing_kept ? store::Durability::process_death : store::Durability::power_loss;
}

Task<void> WorkspaceTable::write(Record record, store::Durability durability) const {
  auto work = [row = to_row(record)](store::Connection& connection) -> Status {
    TRY(connection.execute(kUpsert, row));
    return {};
  };
  co_return co_await database_->run(std::move(work), durability);
}

Task<void> WorkspaceTable::remove(std::string id, store::Durability durability) const {
  auto clear = [path = folder(id)]() -> Status {
    if (!path_exists(path)) return {};
    return remove_for_good(path);
  };
  CO_TRY(co_await workers_->run(std::move(clear)));
  auto work = [id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM workspaces WHERE id = $1", {id}));
    return {};
  };
  co_return co_await database_->run(std::move(work), durability);
}

Task<void> WorkspaceTable::sweep() const { return database_->checkpoint(); }

Result<bool> is_recorded(store::Connection& connection, const std::string& id) {
  TRY_ASSIGN(const auto rows, connection.query("SELECT id FROM workspaces WHERE id = $1", {id}));
  return !rows.empty();
}

Result<std::size_t> mark_removed(store::Connection& connection, const std::set<std::string>& ids) {
  std::size_t marked = 0;
  for (const auto& id : ids) {
    TRY_ASSIGN(const auto rows, connection.query("SELECT record FROM workspaces WHERE id = $1", {id}));
    if (rows.empty()) continue;
    TRY_ASSIGN(Record record, read_record(id, rows.front().text(0)));
    record.state = model::State::removing;
    TRY(connection.execute(kUpsert, to_row(record)));
    ++marked;
  }
  return marked;
}

}  // namespace cofferdam::workspace

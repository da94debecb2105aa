#include "workspace/workspace_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

constexpr std::size_t kMaxRecordBytes = 2U << 20;
constexpr std::string_view kFile = "workspace.json";
constexpr int kFormat = 1;

std::int64_t to_unix_ms(system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

Result<std::optional<system_clock::time_point>> get_time(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number) return std::nullopt;
  return system_clock::time_point(std::chrono::milliseconds(static_cast<std::int64_t>(*number)));
}

Result<std::string> get_text(const json::object& object, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(object, "", field));
  return std::move(text).value_or("");
}

json::array to_array(const std::vector<std::string>& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(item);
  return array;
}

std::vector<std::string> to_strings(const json::object& object, std::string_view field) {
  std::vector<std::string> items;
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || !value->is_array()) return items;
  for (const auto& item : value->get_array()) {
    if (item.is_string()) items.emplace_back(item.get_string());
  }
  return items;
}

Durability durability(const Record& record) {
  return record.spec.mode == model::Mode::permanent ? Durability::power_loss : Durability::process_death;
}

// A rename without fsync: whole for every later process of this boot, and much faster.
Status replace_file(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  {
    TRY_ASSIGN(const UniqueFd file, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600));
    TRY(write_all(file.get(), bytes));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(cat("rename '", temporary, "'"));
  return {};
}

Status sync_folder(const std::string& path) {
  TRY_ASSIGN(const UniqueFd folder, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.get()) != 0) return fail_errno(cat("sync the folder '", path, "'"));
  return {};
}

}  // namespace

std::string record_to_text(const Record& record) {
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
                      {"image_user", record.image_config.user}};
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
  record.image_config.env = to_strings(*object, "image_env");
  TRY_ASSIGN(record.image_config.workdir, get_text(*object, "image_workdir"));
  TRY_ASSIGN(record.image_config.user, get_text(*object, "image_user"));
  return record;
}

Status WorkspaceTable::open() { return make_directories(dir_, 0700); }

std::string WorkspaceTable::folder(const std::string& id) const { return cat(dir_, "/", id); }

std::string WorkspaceTable::disk_path(const std::string& id) const { return folder(id) + "/disk.img"; }

Status WorkspaceTable::make_folder(const std::string& id) const {
  TRY(make_directories(folder(id), 0700));
  return {};
}

Result<std::vector<StoredRecord>> WorkspaceTable::load() const {
  TRY_ASSIGN(const auto names, list_directory(dir_));
  std::vector<StoredRecord> all;
  for (const auto& name : names) {
    auto text = read_file(cat(folder(name), "/", kFile), kMaxRecordBytes);
    if (!text) {
      all.push_back({name, fail(std::move(text.error()))});
      continue;
    }
    auto record = record_from_text(*text);
    if (record && (record->id != name || !is_id(name, "ws"))) {
      record = fail(Code::DataLoss, cat("the record names another workspace, '", record->id, "'"));
    }
    if (!record) record = fail(std::move(record.error()).in(cat("'", folder(name), "/", kFile, "'")));
    all.push_back({name, std::move(record)});
  }
  return all;
}

Status WorkspaceTable::write(const Record& record) const {
  TRY(make_folder(record.id));
  const std::string path = cat(folder(record.id), "/", kFile);
  const std::string text = record_to_text(record);
  if (durability(record) == Durability::process_death) return replace_file(path, text);
  TRY(write_file_atomically(path, text));
  return sync_folder(dir_);  // the workspace's own folder may be new
}

Status WorkspaceTable::remove(const std::string& id) const { return remove_tree(folder(id)); }

}  // namespace cofferdam::workspace

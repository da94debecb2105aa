#include "model/json.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <limits>

#include "base/text.h"

namespace cofferdam::model {
namespace {

namespace json = boost::json;

tl::unexpected<Error> wrong_type(std::string_view path, std::string_view field, std::string_view wanted) {
  return fail(Code::InvalidArgument, cat(path, "/", field, ": must be ", wanted));
}

// A whole, non-negative number that fits, or an error; absent leaves `target` alone.
template <class T>
Status read_whole(const json::object& object, std::string_view path, std::string_view field, T& target,
                  double factor = 1) {
  TRY_ASSIGN(const std::optional<double> number, get_number(object, path, field));
  if (!number) return {};
  const double scaled = std::round(*number * factor);
  if (!(scaled >= 0) || scaled > static_cast<double>(std::numeric_limits<T>::max()) / 2) {
    return fail(Code::InvalidArgument, cat(path, "/", field, ": ", *number, " is out of range"));
  }
  target = static_cast<T>(scaled);
  return {};
}

Result<std::vector<std::string>> read_env(const json::object& object, std::string_view path) {
  std::vector<std::string> env;
  const json::value* value = object.if_contains("env");
  if (value == nullptr || value->is_null()) return env;
  if (const auto* map = value->if_object()) {
    for (const auto& [key, item] : *map) {
      if (!item.is_string()) return wrong_type(path, cat("env/", std::string_view(key)), "a string");
      env.push_back(cat(std::string_view(key), "=", std::string_view(item.get_string())));
    }
    return env;
  }
  const auto* list = value->if_array();
  if (list == nullptr) return wrong_type(path, "env", "a list of \"NAME=VALUE\" or an object");
  for (const auto& item : *list) {
    if (const auto* text = item.if_string()) {
      env.emplace_back(*text);
      continue;
    }
    const auto* pair = item.if_object();
    if (pair == nullptr) return wrong_type(path, "env", "a list of \"NAME=VALUE\" or {key, value}");
    TRY_ASSIGN(const auto key, get_string(*pair, cat(path, "/env"), "key"));
    TRY_ASSIGN(const auto text, get_string(*pair, cat(path, "/env"), "value"));
    env.push_back(cat(key.value_or(""), "=", text.value_or("")));
  }
  return env;
}

// A number of seconds or a text such as "30m".
Result<std::optional<std::chrono::milliseconds>> read_period(const json::object& object, std::string_view path,
                                                             std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const auto* text = value->if_string()) {
    auto parsed = parse_duration(*text);
    if (!parsed) return fail(std::move(parsed.error()).in(cat(path, "/", field)));
    return *parsed;
  }
  TRY_ASSIGN(const auto seconds, get_number(object, path, field));
  if (!(*seconds >= 0) || *seconds > 1e10) return wrong_type(path, field, "a positive number of seconds");
  return std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * 1000));
}

Result<std::vector<std::string>> read_names(const json::object& object, std::string_view path, std::string_view field) {
  std::vector<std::string> names;
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return names;
  const auto* list = value->if_array();
  if (list == nullptr) return wrong_type(path, field, "a list of names");
  for (const auto& item : *list) {
    if (!item.is_string()) return wrong_type(path, field, "a list of names");
    names.emplace_back(item.get_string());
  }
  return names;
}

// How long it lives, and what then.
Status read_life(const json::object& object, std::string_view path, WorkspaceSpec& spec) {
  TRY_ASSIGN(const auto ttl, read_period(object, path, "ttl"));
  if (ttl) spec.ttl = ttl;
  TRY_ASSIGN(const auto action, get_string(object, path, "ttl_action"));
  if (action && !action->empty()) {
    auto parsed = parse_ttl_action(*action);
    if (!parsed) return fail(std::move(parsed.error()).in(cat(path, "/ttl_action")));
    spec.ttl_action = *parsed;
  }
  TRY_ASSIGN(const auto remove_on_exit, get_flag(object, path, "remove_on_exit"));
  if (remove_on_exit) spec.on_exit = *remove_on_exit ? OnExit::remove : OnExit::keep;
  TRY_ASSIGN(const auto policy, get_string(object, path, "restart_policy"));
  if (policy && !policy->empty()) {
    auto parsed = parse_restart_policy(*policy);
    if (!parsed) return fail(std::move(parsed.error()).in(cat(path, "/restart_policy")));
    spec.restart_policy = *parsed;
  }
  TRY(read_whole(object, path, "max_restarts", spec.max_restarts));
  if (const json::value* idle = object.if_contains("idle"); idle != nullptr && !idle->is_null()) {
    auto read = idle_policy_from_json(*idle);
    if (!read) return fail(std::move(read.error()).in(cat(path, "/idle")));
    spec.idle = *read;
  }
  return {};
}

Status read_config(const json::object& object, std::string_view path, WorkspaceSpec& spec) {
  TRY(read_whole(object, path, "cpus", spec.cpu_millis, 1000));
  TRY(read_whole(object, path, "memory_mb", spec.memory_mib));
  TRY(read_whole(object, path, "disk_size_mb", spec.disk_mib));
  TRY(read_whole(object, path, "disk_bytes_per_second", spec.io.bytes_per_second));
  TRY(read_whole(object, path, "disk_iops", spec.io.operations_per_second));
  TRY(read_life(object, path, spec));
  TRY_ASSIGN(auto secrets, read_names(object, path, "secrets"));
  if (!secrets.empty()) spec.secrets = std::move(secrets);
  TRY_ASSIGN(auto env, read_env(object, path));
  if (!env.empty()) spec.env = std::move(env);
  return {};
}

double to_seconds(std::chrono::milliseconds period) { return static_cast<double>(period.count()) / 1000.0; }

json::array to_array(const std::vector<std::string>& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(item);
  return array;
}

// How many members the objects of valid JSON have, as they are written: the colons outside of strings.
std::size_t members_in(std::string_view text) {
  std::size_t members = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (c == ':' && !in_string) {
      ++members;
    }
  }
  return members;
}

struct Contents {
  std::size_t members = 0;  // the parser keeps the last of those with the same key
  bool all_finite = true;
};

// As deep as the parser allowed.
void look_through(const json::value& value, Contents& found) {
  if (const auto* object = value.if_object()) {
    found.members += object->size();
    for (const auto& item : *object) look_through(item.value(), found);
  } else if (const auto* array = value.if_array()) {
    for (const auto& item : *array) look_through(item, found);
  } else if (const auto* number = value.if_double()) {
    if (!std::isfinite(*number)) found.all_finite = false;
  }
}

}  // namespace

Result<std::optional<IdlePolicy>> idle_policy_from_json(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "must be an object or null");
  IdlePolicy policy;
  TRY_ASSIGN(policy.suspend_after, read_period(*object, "", "suspend_after"));
  TRY_ASSIGN(policy.stop_after, read_period(*object, "", "stop_after"));
  // 0 takes one away, as clients say it.
  const auto is_zero = [](const auto& period) { return period && period->count() == 0; };
  if (is_zero(policy.suspend_after)) policy.suspend_after.reset();
  if (is_zero(policy.stop_after)) policy.stop_after.reset();
  if (!policy.suspend_after && !policy.stop_after) return std::nullopt;
  return policy;
}

json::object idle_policy_to_json(const IdlePolicy& policy) {
  json::object object;
  if (policy.suspend_after) object["suspend_after"] = to_seconds(*policy.suspend_after);
  if (policy.stop_after) object["stop_after"] = to_seconds(*policy.stop_after);
  return object;
}

Result<Metadata> metadata_from_json(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "/metadata: must be an object");
  Metadata metadata;
  for (const auto& [key, item] : *object) {
    if (const auto* text = item.if_string()) {
      metadata[std::string(key)] = std::string(*text);
    } else if (item.is_number() || item.is_bool()) {
      metadata[std::string(key)] = json::serialize(item);
    } else {
      return wrong_type("/metadata", std::string_view(key), "a string");
    }
  }
  return metadata;
}

json::object metadata_to_json(const Metadata& metadata) {
  json::object object;
  for (const auto& [key, value] : metadata) object[key] = value;
  return object;
}

Result<json::value> parse_json(std::string_view text) {
  json::error_code ec;
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  auto value = json::parse(json::string_view(text.data(), text.size()), ec, json::storage_ptr{}, options);
  if (ec) return fail(Code::InvalidArgument, cat("the body is not valid JSON: ", ec.message()));
  Contents found;
  look_through(value, found);
  if (!found.all_finite) return fail(Code::InvalidArgument, "the body has a number that is out of range");
  if (found.members != members_in(text)) {
    return fail(Code::InvalidArgument, "the body has an object with the same key twice");
  }
  return value;
}

Result<std::optional<std::string>> get_string(const json::object& object, std::string_view path,
                                              std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_string()) return wrong_type(path, field, "a string");
  return std::string(value->get_string());
}

Result<std::optional<double>> get_number(const json::object& object, std::string_view path, std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_number()) return wrong_type(path, field, "a number");
  return value->to_number<double>();
}

Result<std::optional<bool>> get_flag(const json::object& object, std::string_view path, std::string_view field) {
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (!value->is_bool()) return wrong_type(path, field, "true or false");
  return value->get_bool();
}

Result<WorkspaceSpec> workspace_spec_from_json(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "/: must be an object");
  WorkspaceSpec spec;
  TRY_ASSIGN(const auto name, get_string(*object, "", "name"));
  TRY_ASSIGN(const auto image, get_string(*object, "", "image"));
  TRY_ASSIGN(const auto mode, get_string(*object, "", "mode"));
  TRY_ASSIGN(const auto slug, get_string(*object, "", "slug"));
  TRY_ASSIGN(const auto logo, get_string(*object, "", "logo"));
  TRY_ASSIGN(const auto space, get_string(*object, "", "namespace"));
  if (slug) spec.slug = *slug;
  if (logo) spec.logo = *logo;
  if (space) spec.namespace_id = *space;
  if (const json::value* metadata = object->if_contains("metadata"); metadata != nullptr && !metadata->is_null()) {
    TRY_ASSIGN(spec.metadata, metadata_from_json(*metadata));
  }
  if (name) spec.name = *name;
  if (image) spec.image = *image;
  if (mode && *mode != "temporary" && *mode != "permanent") {
    return fail(Code::InvalidArgument, cat("/mode: '", *mode, "' is neither temporary nor permanent"));
  }
  if (mode && *mode == "permanent") spec.mode = Mode::permanent;
  if (const json::value* config = object->if_contains("config"); config != nullptr && !config->is_null()) {
    if (!config->is_object()) return wrong_type("", "config", "an object");
    TRY(read_config(config->get_object(), "/config", spec));
  }
  TRY(read_config(*object, "", spec));
  if (spec.mode == Mode::temporary && !spec.ttl) spec.ttl = kDefaultTemporaryTtl;
  TRY(validate(spec));
  return spec;
}

json::object workspace_spec_to_json(const WorkspaceSpec& spec) {
  json::object config{{"cpus", spec.cpu_millis / 1000.0},
                      {"memory_mb", spec.memory_mib},
                      {"disk_size_mb", spec.disk_mib},
                      {"disk_bytes_per_second", spec.io.bytes_per_second},
                      {"disk_iops", spec.io.operations_per_second},
                      {"remove_on_exit", spec.on_exit == OnExit::remove},
                      {"restart_policy", restart_policy_name(spec.restart_policy)},
                      {"max_restarts", spec.max_restarts},
                      {"env", to_array(spec.env)},
                      {"secrets", to_array(spec.secrets)}};
  if (spec.ttl) config["ttl"] = to_seconds(*spec.ttl);
  if (spec.ttl_action) config["ttl_action"] = ttl_action_name(*spec.ttl_action);
  if (spec.idle) config["idle"] = idle_policy_to_json(*spec.idle);
  return {{"name", spec.name},
          {"slug", spec.slug},
          {"logo", spec.logo},
          {"namespace", spec.namespace_id},
          {"metadata", metadata_to_json(spec.metadata)},
          {"image", spec.image},
          {"mode", spec.mode == Mode::permanent ? "permanent" : "temporary"},
          {"config", std::move(config)}};
}

Result<ExecSpec> exec_spec_from_json(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "/: must be an object");
  ExecSpec spec;
  const json::value* cmd = object->if_contains("cmd");
  if (cmd == nullptr) return wrong_type("", "cmd", "given");
  if (const auto* text = cmd->if_string()) {
    spec.argv = {"/bin/sh", "-c", std::string(*text)};
  } else if (const auto* words = cmd->if_array()) {
    for (const auto& word : *words) {
      if (!word.is_string()) return wrong_type("", "cmd", "a list of strings");
      spec.argv.emplace_back(word.get_string());
    }
  } else {
    return wrong_type("", "cmd", "a list of strings or a string");
  }
  TRY_ASSIGN(spec.env, read_env(*object, ""));
  TRY_ASSIGN(const auto cwd, get_string(*object, "", "cwd"));
  TRY_ASSIGN(const auto user, get_string(*object, "", "user"));
  TRY_ASSIGN(const auto tty, get_flag(*object, "", "tty"));
  TRY_ASSIGN(const auto stdin_open, get_flag(*object, "", "stdin"));
  spec.cwd = cwd.value_or("");
  spec.user = user.value_or("");
  spec.terminal = tty.value_or(false) ? Terminal::yes : Terminal::no;
  spec.stdin_mode = stdin_open.value_or(false) ? Stdin::open : Stdin::closed;
  TRY(read_whole(*object, "", "rows", spec.rows));
  TRY(read_whole(*object, "", "cols", spec.cols));
  auto timeout_ms = static_cast<std::uint64_t>(spec.timeout.count());
  TRY(read_whole(*object, "", "timeout_ms", timeout_ms));
  spec.timeout = std::chrono::milliseconds(timeout_ms);
  TRY(read_whole(*object, "", "max_output_bytes", spec.max_output_bytes));
  TRY(validate(spec));
  return spec;
}

json::object exec_spec_to_json(const ExecSpec& spec) {
  return {{"cmd", to_array(spec.argv)},
          {"env", to_array(spec.env)},
          {"cwd", spec.cwd},
          {"user", spec.user},
          {"tty", spec.terminal == Terminal::yes},
          {"rows", spec.rows},
          {"cols", spec.cols},
          {"stdin", spec.stdin_mode == Stdin::open},
          {"timeout_ms", spec.timeout.count()},
          {"max_output_bytes", spec.max_output_bytes}};
}

json::object exit_status_to_json(const ExitStatus& status) {
  return {{"exit_code", status.code},         {"signal", status.signal},
          {"timed_out", status.timed_out},    {"output_limited", status.output_limited},
          {"oom_killed", status.oom_killed},  {"cpu_ms", status.cpu_ms},
          {"max_rss_kib", status.max_rss_kib}};
}

Result<ExitStatus> exit_status_from_json(const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "/: must be an object");
  ExitStatus status;
  TRY_ASSIGN(const auto code, get_number(*object, "", "exit_code"));
  if (!code) return wrong_type("", "exit_code", "given");
  status.code = static_cast<int>(*code);
  TRY(read_whole(*object, "", "signal", status.signal));
  TRY_ASSIGN(const auto timed_out, get_flag(*object, "", "timed_out"));
  TRY_ASSIGN(const auto limited, get_flag(*object, "", "output_limited"));
  TRY_ASSIGN(const auto oom, get_flag(*object, "", "oom_killed"));
  status.timed_out = timed_out.value_or(false);
  status.output_limited = limited.value_or(false);
  status.oom_killed = oom.value_or(false);
  TRY(read_whole(*object, "", "cpu_ms", status.cpu_ms));
  TRY(read_whole(*object, "", "max_rss_kib", status.max_rss_kib));
  return status;
}

}  // namespace cofferdam::model

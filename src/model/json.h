// JSON forms of the model's values. Decoders ignore unknown fields and refuse wrong types with the field's JSON
// pointer.
#pragma once
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/workspace_spec.h"

namespace cofferdam::model {

inline constexpr std::size_t kMaxJsonDepth = 32;

// Parses hostile text. InvalidArgument: not JSON (NaN and the like are none), not UTF-8, more than kMaxJsonDepth levels
// deep, a number beyond the range of a double, an object that has the same key twice: two readers could take different
// ones.
Result<boost::json::value> parse_json(std::string_view text);

// The body of a create: {name?, slug?, logo?, namespace?, image?, mode?, metadata?, config: {cpus, memory_mb,
// disk_size_mb, ttl, ttl_action, remove_on_exit, restart_policy, max_restarts, idle, env, secrets, …}}; the config's
// fields are also taken from the top level. Validated. Temporary without a ttl gets kDefaultTemporaryTtl.
Result<WorkspaceSpec> workspace_spec_from_json(const boost::json::value& value);
boost::json::object workspace_spec_to_json(const WorkspaceSpec& spec);

// {suspend_after?, stop_after?}, each a number of seconds or a text such as "30m"; nullopt when both are absent or 0.
// The paths in errors are relative.
Result<std::optional<IdlePolicy>> idle_policy_from_json(const boost::json::value& value);
boost::json::object idle_policy_to_json(const IdlePolicy& policy);
// An object of texts; numbers and flags become their text. Not validated.
Result<Metadata> metadata_from_json(const boost::json::value& value);
boost::json::object metadata_to_json(const Metadata& metadata);

// {cmd: [..] or "text" (run by /bin/sh -c), env: ["K=V"] or {K: V}, cwd, user, tty, rows, cols, stdin, timeout_ms,
// max_output_bytes}. Validated.
Result<ExecSpec> exec_spec_from_json(const boost::json::value& value);
boost::json::object exec_spec_to_json(const ExecSpec& spec);

boost::json::object exit_status_to_json(const ExitStatus& status);
Result<ExitStatus> exit_status_from_json(const boost::json::value& value);

// Typed access with the field's path in every error; absent and null are nullopt.
Result<std::optional<std::string>> get_string(const boost::json::object& object, std::string_view path,
                                              std::string_view field);
Result<std::optional<double>> get_number(const boost::json::object& object, std::string_view path,
                                         std::string_view field);
Result<std::optional<bool>> get_flag(const boost::json::object& object, std::string_view path, std::string_view field);

}  // namespace cofferdam::model

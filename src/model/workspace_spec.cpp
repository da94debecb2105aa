#include "model/workspace_spec.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace cofferdam::model {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxEnvItems = 256;
constexpr std::size_t kMaxEnvBytes = 128U << 10;
constexpr std::size_t kMaxSlug = 63;
constexpr std::size_t kMaxLogo = 2048;
constexpr std::size_t kMaxId = 128;
constexpr std::size_t kMaxSecrets = 64;
constexpr std::size_t kMaxMetadataKeys = 64;
constexpr std::size_t kMaxMetadataKey = 128;
constexpr std::size_t kMaxMetadataBytes = 64U << 10;
constexpr std::uint64_t kYearMs = std::uint64_t{365} * 86'400'000;
constexpr std::size_t kMaxArgvItems = 4096;
constexpr std::size_t kMaxArgvBytes = 1U << 20;

Status in_range(const char* field, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return fail(Code::InvalidArgument, cat(field, ": ", value, " is outside ", min, " to ", max));
}

bool is_image_name(const std::string& name) {
  if (name.empty() || name.size() > 128 || name[0] == '.' || name[0] == '-') return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_'; });
}

Status check_env(const char* field, const std::vector<std::string>& env) {
  std::size_t total = 0;
  for (const auto& item : env) {
    // The value may be a secret: only the position is told.
    if (!is_env_item(item)) {
      return fail(Code::InvalidArgument, cat(field, "/", &item - env.data(), ": is not of the form NAME=VALUE"));
    }
    total += item.size();
  }
  if (env.size() > kMaxEnvItems || total > kMaxEnvBytes) {
    return fail(Code::InvalidArgument,
                cat(field, ": more than ", kMaxEnvItems, " items or ", kMaxEnvBytes, " bytes in all"));
  }
  return {};
}

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

bool is_env_name(std::string_view name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) != 0) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

Status check_secrets(const std::vector<std::string>& names) {
  if (names.size() > kMaxSecrets) {
    return fail(Code::InvalidArgument, cat("/config/secrets: more than ", kMaxSecrets, " names"));
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (is_env_name(names[i]) && names[i].size() <= kMaxId) continue;
    return fail(Code::InvalidArgument, cat("/config/secrets/", i, ": is not the name of a secret"),
                "name secrets of the namespace, not their values");
  }
  return {};
}

Status check_period(const char* field, const std::optional<std::chrono::milliseconds>& period) {
  if (!period) return {};
  return in_range(field, static_cast<std::uint64_t>(std::max<std::int64_t>(period->count(), 0)), 1000, kYearMs);
}

}  // namespace

Status validate(const Metadata& metadata) {
  if (metadata.size() > kMaxMetadataKeys) {
    return fail(Code::InvalidArgument, cat("/metadata: more than ", kMaxMetadataKeys, " keys"));
  }
  std::size_t total = 0;
  for (const auto& [key, value] : metadata) {
    if (key.empty() || key.size() > kMaxMetadataKey || has_nul(key)) {
      return fail(Code::InvalidArgument,
                  cat("/metadata: a key is empty, has a NUL, or is longer than ", kMaxMetadataKey, " bytes"));
    }
    total += key.size() + value.size();
  }
  if (total > kMaxMetadataBytes) {
    return fail(Code::InvalidArgument, cat("/metadata: more than ", kMaxMetadataBytes, " bytes in all"));
  }
  return {};
}

Status validate(const IdlePolicy& policy) {
  if (!policy.suspend_after && !policy.stop_after) {
    return fail(Code::InvalidArgument, "/config/idle: neither suspend_after nor stop_after is given");
  }
  TRY(check_period("/config/idle/suspend_after (milliseconds)", policy.suspend_after));
  TRY(check_period("/config/idle/stop_after (milliseconds)", policy.stop_after));
  if (policy.suspend_after && policy.stop_after && *policy.stop_after <= *policy.suspend_after) {
    return fail(Code::InvalidArgument, "/config/idle/stop_after: must be later than suspend_after");
  }
  return {};
}

Status validate_slug(const std::string& slug) {
  const bool good = slug.size() <= kMaxSlug && (slug.empty() || (slug.front() != '-' && slug.back() != '-')) &&
                    std::all_of(slug.begin(), slug.end(),
                                [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
  if (good) return {};
  return fail(Code::InvalidArgument,
              cat("/slug: must be lower-case letters, digits and inner hyphens, at most ", kMaxSlug));
}

std::string_view ttl_action_name(TtlAction action) {
  switch (action) {
    case TtlAction::remove:
      return "remove";
    case TtlAction::stop:
      return "stop";
    case TtlAction::pause:
      return "pause";
    case TtlAction::suspend:
      return "suspend";
  }
  return "remove";
}

std::string_view restart_policy_name(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::never:
      return "never";
    case RestartPolicy::on_failure:
      return "on-failure";
    case RestartPolicy::always:
      return "always";
  }
  return "never";
}

Result<TtlAction> parse_ttl_action(std::string_view name) {
  for (const auto action : {TtlAction::remove, TtlAction::stop, TtlAction::pause, TtlAction::suspend}) {
    if (ttl_action_name(action) == name) return action;
  }
  if (name == "delete" || name == "destroy") return TtlAction::remove;
  return fail(Code::InvalidArgument, cat("'", name, "' is none of remove, stop, pause and suspend"));
}

Result<RestartPolicy> parse_restart_policy(std::string_view name) {
  if (name == "on_failure") return RestartPolicy::on_failure;
  for (const auto policy : {RestartPolicy::never, RestartPolicy::on_failure, RestartPolicy::always}) {
    if (restart_policy_name(policy) == name) return policy;
  }
  return fail(Code::InvalidArgument, cat("'", name, "' is none of never, on-failure and always"));
}

bool is_env_item(const std::string& item) {
  const auto equals = item.find('=');
  if (equals == std::string::npos || has_nul(item)) return false;
  return is_env_name(std::string_view(item).substr(0, equals));
}

Status validate(const WorkspaceSpec& spec) {
  if (spec.name.size() > kMaxName || has_nul(spec.name)) {
    return fail(Code::InvalidArgument, cat("/name: longer than ", kMaxName, " bytes, or has a NUL"));
  }
  TRY(validate_slug(spec.slug));
  if (spec.logo.size() > kMaxLogo || has_nul(spec.logo)) {
    return fail(Code::InvalidArgument, cat("/logo: longer than ", kMaxLogo, " bytes, or has a NUL"));
  }
  if (spec.namespace_id.size() > kMaxId || has_nul(spec.namespace_id)) {
    return fail(Code::InvalidArgument, "/namespace: is not a namespace");
  }
  if (!is_image_name(spec.image)) {
    return fail(Code::InvalidArgument, "/image: not an image name", "list the images with `coffer image ls`");
  }
  TRY(in_range("/config/cpus (thousandths)", spec.cpu_millis, 100, 32'000));
  TRY(in_range("/config/memory_mb", spec.memory_mib, 128, 65'536));
  TRY(in_range("/config/disk_size_mb", spec.disk_mib, 64, 1'048'576));
  if (spec.ttl) {
    TRY(in_range("/config/ttl (milliseconds)", static_cast<std::uint64_t>(spec.ttl->count()), 1000,
                 std::uint64_t{365} * 86'400'000));
  }
  if (!spec.ttl && spec.mode == Mode::temporary) {
    return fail(Code::InvalidArgument, "/config/ttl: a temporary workspace needs one");
  }
  TRY(in_range("/config/max_restarts", spec.max_restarts, 0, 1000));
  if (spec.idle) TRY(validate(*spec.idle));
  TRY(check_env("/config/env", spec.env));
  TRY(check_secrets(spec.secrets));
  return validate(spec.metadata);
}

Status validate(const ExecSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty()) {
    return fail(Code::InvalidArgument, "/cmd: no command", "name a program, for example [\"/bin/true\"]");
  }
  std::size_t total = 0;
  for (const auto& word : spec.argv) {
    if (has_nul(word)) return fail(Code::InvalidArgument, "/cmd: a word has a NUL byte");
    total += word.size() + 1;
  }
  if (spec.argv.size() > kMaxArgvItems || total > kMaxArgvBytes) {
    return fail(Code::InvalidArgument, cat("/cmd: more than ", kMaxArgvItems, " words or ", kMaxArgvBytes, " bytes"));
  }
  TRY(check_env("/env", spec.env));
  if (has_nul(spec.cwd) || spec.cwd.size() > 4096) return fail(Code::InvalidArgument, "/cwd: not a path");
  if (has_nul(spec.user) || spec.user.size() > 256) return fail(Code::InvalidArgument, "/user: not a user name");
  if (spec.tag.size() > kMaxExecTag) return fail(Code::InvalidArgument, "the tag of a command is too long");
  TRY(in_range("/timeout_ms", static_cast<std::uint64_t>(std::max<std::int64_t>(spec.timeout.count(), 0)), 0,
               std::uint64_t{365} * 86'400'000));
  TRY(in_range("/rows", spec.rows, 1, 4096));
  return in_range("/cols", spec.cols, 1, 4096);
}

}  // namespace cofferdam::model

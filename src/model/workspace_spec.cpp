#include "model/workspace_spec.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace cofferdam::model {
namespace {

constexpr std::size_t kMaxName = 255;
constexpr std::size_t kMaxEnvItems = 256;
constexpr std::size_t kMaxEnvBytes = 128U << 10;
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

}  // namespace

bool is_env_item(const std::string& item) {
  const auto equals = item.find('=');
  if (equals == std::string::npos || equals == 0 || has_nul(item)) return false;
  if (std::isdigit(static_cast<unsigned char>(item[0])) != 0) return false;
  return std::all_of(item.begin(), item.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

Status validate(const WorkspaceSpec& spec) {
  if (spec.name.size() > kMaxName || has_nul(spec.name)) {
    return fail(Code::InvalidArgument, cat("/name: longer than ", kMaxName, " bytes, or has a NUL"));
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
  return check_env("/config/env", spec.env);
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
  TRY(in_range("/timeout_ms", static_cast<std::uint64_t>(std::max<std::int64_t>(spec.timeout.count(), 0)), 0,
               std::uint64_t{365} * 86'400'000));
  TRY(in_range("/rows", spec.rows, 1, 4096));
  return in_range("/cols", spec.cols, 1, 4096);
}

}  // namespace cofferdam::model

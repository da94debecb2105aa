#include "cli/env_items.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"
#include "model/workspace_spec.h"

namespace cofferdam::cli {
namespace {

constexpr std::size_t kMaxEnvFile = 1U << 20;

bool is_env_name(std::string_view name) { return model::is_env_item(cat(name, "=")); }

std::string_view name_of(std::string_view item) { return item.substr(0, item.find('=')); }

void put(std::vector<std::string>& env, std::string item) {
  const auto same = [name = name_of(item)](const std::string& other) { return name_of(other) == name; };
  std::erase_if(env, same);
  env.push_back(std::move(item));
}

}  // namespace

std::optional<std::string> own_environment(const std::string& name) {
  const char* value = ::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

Result<std::string> parse_env_item(std::string_view text, EnvLookup lookup) {
  const auto name = name_of(text);
  // What stands before a '=' may be half a secret when the '=' is not where it should be.
  if (!is_env_name(name)) {
    return fail(Code::InvalidArgument, "an environment item is not of the form NAME=VALUE or NAME",
                "a name has letters, digits and '_', and does not start with a digit");
  }
  std::string item(text);
  if (text.size() == name.size()) {
    const auto value = lookup(item);
    if (!value) return fail(Code::NotFound, cat("'", name, "' is not set in the environment of this command"));
    item = cat(name, "=", *value);
  }
  if (!model::is_env_item(item)) return fail(Code::InvalidArgument, cat("the value of '", name, "' has a NUL byte"));
  return item;
}

Result<std::vector<std::string>> parse_env_file(std::string_view content, EnvLookup lookup) {
  std::vector<std::string> env;
  std::size_t number = 0;
  for (const auto& raw : split(content, '\n')) {
    ++number;
    std::string_view line = raw;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const auto start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos || line[start] == '#') continue;
    line.remove_prefix(start);
    auto item = parse_env_item(line, lookup);
    if (!item && item.error().code == Code::NotFound) continue;
    if (!item) return fail(std::move(item.error()).in(cat("line ", number)));
    put(env, std::move(*item));
  }
  return env;
}

void EnvOptions::declare(Options& options) {
  options.values("-e,--env", "NAME[=VALUE]", items, "environment variable of the command; NAME alone takes ours");
  options.values("--env-file", "FILE", files, "file of NAME=VALUE lines, '-' for standard input");
  options.flag("--allow-control-token", control_token,
               "a value may be a control token of this host: whatever runs inside can then manage the host");
}

void EnvOptions::mark(boost::json::object& body) const {
  if (control_token) body["force"] = true;
}

Result<std::vector<std::string>> EnvOptions::resolve() const {
  std::vector<std::string> env;
  for (const auto& path : files) {
    auto content = path == "-" ? read_fd(STDIN_FILENO, kMaxEnvFile) : read_file(path, kMaxEnvFile);
    if (!content) return fail(std::move(content.error()).in("--env-file"));
    auto parsed = parse_env_file(*content);
    if (!parsed) return fail(std::move(parsed.error()).in(cat("--env-file '", path, "'")));
    for (auto& item : *parsed) put(env, std::move(item));
  }
  for (const auto& text : items) {
    auto item = parse_env_item(text);
    if (!item) return fail(std::move(item.error()).in("--env"));
    put(env, std::move(*item));
  }
  return env;
}

}  // namespace cofferdam::cli

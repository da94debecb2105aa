#include "api/runtime_call.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <cmath>

#include "api/error_body.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxEnvItems = 256;
constexpr std::size_t kMaxPath = 4095;
constexpr std::int64_t kLatestTimeMs = 9'000'000'000'000;  // in the year 2255

constexpr std::array<std::string_view, 73> kCodeExtensions = {
    ".asm",  ".astro",  ".bash",    ".bat",    ".c",   ".cc",    ".cjs",    ".clj",   ".cmake", ".cpp",  ".cs",
    ".css",  ".cts",    ".cxx",     ".dart",   ".elm", ".erl",   ".ex",     ".exs",   ".fish",  ".fs",   ".go",
    ".gql",  ".gradle", ".graphql", ".groovy", ".h",   ".hh",    ".hpp",    ".hrl",   ".hs",    ".html", ".java",
    ".jl",   ".js",     ".json",    ".jsx",    ".kt",  ".kts",   ".less",   ".lua",   ".m",     ".mjs",  ".ml",
    ".mm",   ".mts",    ".nim",     ".php",    ".pl",  ".proto", ".ps1",    ".py",    ".r",     ".rb",   ".rs",
    ".sass", ".scala",  ".scss",    ".sh",     ".sol", ".sql",   ".svelte", ".swift", ".tf",    ".toml", ".ts",
    ".tsx",  ".vue",    ".xml",     ".yaml",   ".yml", ".zig",   ".zsh"};
constexpr std::array<std::string_view, 4> kCodeNames = {"Makefile", "Dockerfile", "CMakeLists.txt", "Jenkinsfile"};

Result<const std::string*> find_once(const RuntimeCall& call, std::string_view name) {
  if (call.request().query_values(name).size() > 1) {
    return fail(Code::InvalidArgument, cat("the query parameter '", name, "' is given more than once"));
  }
  return call.request().find_query(name);
}

}  // namespace

Result<bool> query_flag_or(const RuntimeCall& call, std::string_view name, bool otherwise) {
  if (call.request().find_query(name) == nullptr) return otherwise;
  return query_flag(call.call, name);
}

Result<std::optional<std::int64_t>> query_number(const RuntimeCall& call, std::string_view name, std::int64_t min,
                                                 std::int64_t max) {
  TRY_ASSIGN(const std::string* value, find_once(call, name));
  if (value == nullptr || value->empty()) return std::nullopt;
  TRY_ASSIGN(const std::int64_t number, parse_int(cat("the query parameter '", name, "'"), *value, min, max));
  return number;
}

Result<std::string> query_text(const RuntimeCall& call, std::string_view name) {
  TRY_ASSIGN(const std::string* value, find_once(call, name));
  return value == nullptr ? std::string{} : *value;
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> parts;
  for (const auto& part : split(text, ',')) {
    if (const auto trimmed = trim(part); !trimmed.empty()) parts.emplace_back(trimmed);
  }
  return parts;
}

Result<std::optional<std::int64_t>> number_field(const json::object& object, std::string_view field, std::int64_t min,
                                                 std::int64_t max) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number) return std::nullopt;
  if (!(*number >= static_cast<double>(min)) || *number > static_cast<double>(max) || *number != std::floor(*number)) {
    return fail(Code::InvalidArgument, cat("/", field, ": must be a whole number from ", min, " to ", max));
  }
  return static_cast<std::int64_t>(*number);
}

Result<std::optional<std::vector<std::string>>> texts_field(const json::object& object, std::string_view field,
                                                            std::size_t most) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr || value->is_null()) return std::nullopt;
  const json::array* items = value->if_array();
  if (items == nullptr) return fail(Code::InvalidArgument, cat("/", field, ": must be an array of texts"));
  if (items->size() > most) return fail(Code::InvalidArgument, cat("/", field, ": has more than ", most, " items"));
  std::vector<std::string> texts;
  for (const auto& item : *items) {
    const auto* text = item.if_string();
    if (text == nullptr) return fail(Code::InvalidArgument, cat("/", field, ": must be an array of texts"));
    texts.emplace_back(*text);
  }
  return texts;
}

Result<std::vector<std::string>> env_field(const json::object& object) {
  const json::value* value = object.if_contains("env");
  std::vector<std::string> env;
  if (value == nullptr || value->is_null()) return env;
  if (const auto* map = value->if_object()) {
    for (const auto& [name, text] : *map) {
      if (!text.is_string()) return fail(Code::InvalidArgument, cat("/env/", std::string_view(name), ": must be text"));
      env.push_back(cat(std::string_view(name), "=", std::string_view(text.get_string())));
    }
    if (env.size() > kMaxEnvItems) return fail(Code::InvalidArgument, "/env: has too many items");
    return env;
  }
  TRY_ASSIGN(auto items, texts_field(object, "env", kMaxEnvItems));
  return std::move(*items);
}

Result<std::string> clean_path(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return fail(Code::InvalidArgument, cat("the path '", to_utf8(path.substr(0, 200)), "' is not absolute"));
  }
  if (path.size() > kMaxPath || path.find('\0') != std::string_view::npos) {
    return fail(Code::InvalidArgument, "the path is too long, or holds a zero byte");
  }
  std::string clean;
  for (const auto& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    // Behind a link it would not mean what it says.
    if (part == "..") return fail(Code::InvalidArgument, cat("the path '", to_utf8(path), "' has a '..' in it"));
    clean += "/" + part;
  }
  return clean.empty() ? "/" : clean;
}

std::string name_of(std::string_view path) {
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string extension_of(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return {};
  return std::string(name.substr(dot));
}

bool is_code_file(std::string_view name) {
  std::string extension = extension_of(name);
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::find(kCodeExtensions.begin(), kCodeExtensions.end(), extension) != kCodeExtensions.end() ||
         std::find(kCodeNames.begin(), kCodeNames.end(), name) != kCodeNames.end();
}

std::string time_text(std::int64_t unix_ms) {
  // The guest's word: a clock of nanoseconds does not hold every 64-bit number of milliseconds.
  const std::chrono::milliseconds bounded(std::clamp<std::int64_t>(unix_ms, 0, kLatestTimeMs));
  return format_rfc3339(std::chrono::system_clock::time_point(bounded));
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view three = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      bits = (bits << 8) | (i < three.size() ? static_cast<std::uint8_t>(three[i]) : 0U);
    }
    for (std::size_t i = 0; i < 4; ++i) {
      text.push_back(i <= three.size() ? kDigits[(bits >> (18 - 6 * i)) & 0x3fU] : '=');
    }
  }
  return text;
}

std::string late_error_body(const Error& error) {
  json::object object{{"success", false}, {"error", name_of(error).code}};
  for (auto& [key, value] : error_to_json(error)) object[key] = std::move(value);
  return json::serialize(object);
}

}  // namespace cofferdam::api

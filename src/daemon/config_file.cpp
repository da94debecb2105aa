#include "daemon/config_file.h"

#include <yaml-cpp/yaml.h>

#include "base/file.h"
#include "base/text.h"
#include "daemon/settings.h"

namespace cofferdam::daemon {
namespace {

constexpr std::size_t kMaxFileBytes = 256U << 10;
constexpr int kMaxDepth = 4;

std::string place(const std::string& path, const YAML::Mark& mark) {
  return cat(path, ":", mark.line + 1, ":", mark.column + 1);
}

Status apply_map(const std::string& path, const YAML::Node& map, const std::string& prefix, int depth, Config& config) {
  for (const auto& item : map) {
    const std::string where = place(path, item.first.Mark());
    if (!item.first.IsScalar()) return fail(Code::InvalidArgument, cat(where, ": a setting's name must be a word"));
    const std::string name = prefix + item.first.Scalar();
    if (item.second.IsMap() && depth < kMaxDepth) {
      TRY(apply_map(path, item.second, name + ".", depth + 1, config));
      continue;
    }
    std::string value;
    if (item.second.IsSequence() && takes_list(name)) {
      for (const auto& part : item.second) {
        if (!part.IsScalar()) return fail(Code::InvalidArgument, cat(where, ": '", name, "' must be a list of words"));
        value += cat(value.empty() ? "" : ",", part.Scalar());
      }
    } else if (item.second.IsScalar()) {
      value = item.second.Scalar();
    } else {
      return fail(Code::InvalidArgument,
                  cat(where, ": '", name,
                      takes_list(name) ? "' must be a single value or a list" : "' must be a single value"));
    }
    auto applied = apply_setting(config, name, value);
    if (!applied) return fail(std::move(applied.error()).in(where));
  }
  return {};
}

}  // namespace

Status read_config_file(const std::string& path, Config& config) {
  TRY_ASSIGN(const std::string text, read_file(path, kMaxFileBytes));
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return {};
    if (!root.IsMap())
      return fail(Code::InvalidArgument, cat(place(path, root.Mark()), ": must be a list of settings"));
    return apply_map(path, root, "", 0, config);
  } catch (const YAML::Exception& e) {
    return fail(Code::InvalidArgument, cat(place(path, e.mark), ": ", e.msg));
  }
}

}  // namespace cofferdam::daemon

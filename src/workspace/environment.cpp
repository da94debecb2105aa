#include "workspace/environment.h"

#include <algorithm>
#include <cctype>

namespace cofferdam::workspace {
namespace {

constexpr std::size_t kMaxHostname = 63;

std::string_view name_of(std::string_view item) { return item.substr(0, item.find('=')); }

std::string to_label(std::string_view text) {
  std::string label;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 && byte < 0x80) {
      label.push_back(static_cast<char>(std::tolower(byte)));
    } else if (!label.empty() && label.back() != '-') {
      label.push_back('-');
    }
    if (label.size() == kMaxHostname) break;
  }
  while (!label.empty() && label.back() == '-') label.pop_back();
  return label;
}

}  // namespace

std::vector<std::string> merge_env(std::vector<std::string> base, const std::vector<std::string>& over) {
  for (const auto& item : over) {
    const auto same =
        std::find_if(base.begin(), base.end(), [&](const std::string& old) { return name_of(old) == name_of(item); });
    if (same == base.end()) {
      base.push_back(item);
    } else {
      *same = item;
    }
  }
  return base;
}

model::ExecSpec complete_exec(model::ExecSpec spec, const image::ImageConfig& image,
                              const std::vector<std::string>& workspace_env) {
  spec.env = merge_env(merge_env(image.env, workspace_env), spec.env);
  if (spec.cwd.empty()) spec.cwd = image.workdir;
  if (spec.user.empty()) spec.user = image.user;
  return spec;
}

std::string hostname_for(const std::string& name, const std::string& id) {
  std::string label = to_label(name);
  return label.empty() ? to_label(id) : label;
}

}  // namespace cofferdam::workspace

#include "jail/leftovers.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "jail/cgroup.h"

namespace cofferdam::jail {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};

bool is_folder(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
}

}  // namespace

Result<Leftovers> remove_leftovers(const std::string& parent, const std::set<std::string>& live) {
  TRY_ASSIGN(const CgroupLayout layout, detect_cgroups());
  Leftovers result;
  std::set<std::string> removed;
  for (const auto& root : layout.roots()) {
    const auto folder = cat(root, "/", parent);
    const auto names = list_directory(folder);
    if (!names) continue;
    for (const auto& name : *names) {
      const auto group = cat(folder, "/", name);
      if (name == kSupervisorsFolder || live.contains(name) || !is_folder(group)) continue;
      const auto gone = remove_cgroup_folder(group, kPatience);
      if (gone) {
        removed.insert(name);
      } else {
        result.failed.push_back(gone.error().message);
      }
    }
  }
  result.removed.assign(removed.begin(), removed.end());
  return result;
}

Status remove_parent(const std::string& parent) {
  TRY_ASSIGN(const CgroupLayout layout, detect_cgroups());
  for (const auto& root : layout.roots()) {
    const auto folder = cat(root, "/", parent);
    ::rmdir(cat(folder, "/", kSupervisorsFolder).c_str());
    ::rmdir(folder.c_str());
  }
  return {};
}

}  // namespace cofferdam::jail

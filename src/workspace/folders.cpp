#include "workspace/folders.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::workspace {
namespace {

std::string parent_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

}  // namespace

Status sync_folder(const std::string& path) {
  TRY_ASSIGN(const UniqueFd folder, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(folder.get()) != 0) return fail_errno(cat("sync the folder '", path, "'"));
  return {};
}

Status make_lasting_folder(const std::string& path) {
  TRY(make_directories(path, 0700));
  // Also one that was there: whoever made it may have died before this.
  return sync_folder(parent_of(path));
}

Status remove_for_good(const std::string& path) {
  TRY(remove_tree(path));
  return sync_folder(parent_of(path));
}

}  // namespace cofferdam::workspace

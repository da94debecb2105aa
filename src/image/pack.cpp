#include "image/pack.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/text.h"
#include "image/command.h"

namespace cofferdam::image {
namespace {

// For a tree with no older file to take the time from: 2023-06-10, the day of Debian 12.
constexpr std::time_t kNoOlderFile = 1686355200;
constexpr auto kMkfsTimeout = std::chrono::minutes(30);
// Only to be told apart from others' file systems; equal content should be equal bytes.
constexpr auto kUuid = "c0ffe2da-0000-4000-8000-000000000001";

struct CloseWalk {
  void operator()(FTS* walk) const { ::fts_close(walk); }
};

}  // namespace

Status walk_tree(const std::string& folder, const std::function<Status(const WalkedFile&)>& visit) {
  std::string path = folder;
  std::array<char*, 2> roots = {path.data(), nullptr};
  const std::unique_ptr<FTS, CloseWalk> walk(::fts_open(roots.data(), FTS_PHYSICAL | FTS_NOCHDIR, nullptr));
  if (!walk) return fail_errno(cat("walk '", folder, "'"));
  for (;;) {
    errno = 0;
    const FTSENT* entry = ::fts_read(walk.get());
    if (entry == nullptr) break;
    if (entry->fts_info == FTS_DP) continue;
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
      return fail(errno_error(cat("read '", entry->fts_path, "'"), entry->fts_errno));
    }
    TRY(visit({entry->fts_path, *entry->fts_statp}));
  }
  if (errno != 0) return fail_errno(cat("walk '", folder, "'"));
  return {};
}

Status add_mount_points(const Tree& tree) {
  struct Folder {
    const char* path;
    unsigned mode;
  };
  static constexpr std::array<Folder, 7> kFolders = {{{"/proc", 0555},
                                                      {"/sys", 0555},
                                                      {"/dev", 0755},
                                                      {"/run", 0755},
                                                      {"/tmp", 01777},
                                                      {"/etc", 0755},
                                                      {"/root", 0700}}};
  for (const auto& folder : kFolders) {
    if (tree.exists(folder.path) && !tree.is_directory(folder.path)) {
      return fail(Code::InvalidArgument, cat("'", folder.path, "' in the image is not a folder"));
    }
    TRY(tree.make_directory(folder.path, folder.mode));
  }
  return {};
}

Result<std::time_t> settle_times(const std::string& folder, std::time_t build_start) {
  std::time_t newest = 0;
  TRY(walk_tree(folder, [&](const WalkedFile& file) -> Status {
    const auto time = file.st.st_mtime;
    if (time < build_start) newest = std::max(newest, time);
    return {};
  }));
  if (newest == 0) newest = kNoOlderFile;
  TRY(walk_tree(folder, [&](const WalkedFile& file) -> Status {
    if (file.st.st_mtime < build_start) return {};
    const std::array<timespec, 2> times = {{{newest, 0}, {newest, 0}}};
    if (::utimensat(AT_FDCWD, file.path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
      return fail_errno(cat("set the time of '", file.path.c_str(), "'"));
    }
    return {};
  }));
  return newest;
}

Status make_erofs(const std::string& folder, const std::string& file, std::time_t newest) {
  RunOptions mkfs = command({"mkfs.erofs", "--quiet", "--preserve-mtime", "-U", kUuid, file, folder}, kMkfsTimeout);
  mkfs.extra_env.push_back(cat("SOURCE_DATE_EPOCH=", newest));
  TRY(run_checked(mkfs));
  return {};
}

}  // namespace cofferdam::image

#include "guest/beneath.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr int kHold = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kFolderMode = 0755;
constexpr mode_t kModeBits = 07777;

Result<std::vector<std::string>> parts_of(const std::string& path) {
  if (path.find('\0') != std::string::npos) return fail(Code::InvalidArgument, "the path has a NUL");
  auto parts = split(path, '/');
  for (const auto& part : parts) {
    if (!part.empty() && part != "." && part != "..") continue;
    return fail(Code::InvalidArgument, cat("'", path, "' is not a relative path without \".\" and \"..\""));
  }
  return parts;
}

Status give(int folder, const std::string& name, Owner owner) {
  if (::geteuid() != 0) return {};
  if (::fchownat(folder, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(cat("give '", name, "' to its owner"));
  }
  return {};
}

// What is as it should be is left alone: not every file system lets its own root be changed.
Status give_as(int folder, const std::string& name, std::uint32_t mode, Owner owner) {
  struct stat info{};
  if (::fstat(folder, &info) != 0) return fail_errno(cat("'", name, "'"));
  const bool others = info.st_uid != owner.uid || info.st_gid != owner.gid;
  if (others && ::geteuid() == 0 && ::fchown(folder, owner.uid, owner.gid) != 0) {
    return fail_errno(cat("give '", name, "' to its owner"));
  }
  // mkdir(2) takes the umask off, and chown(2) set-user-id bits.
  const bool as_wanted = !others && (info.st_mode & kModeBits) == mode;
  if (!as_wanted && ::fchmod(folder, mode) != 0) return fail_errno(cat("set the mode of '", name, "'"));
  return {};
}

// Of what is there itself; no link is followed. False: nothing.
Result<bool> look(const Spot& spot, struct stat& info) {
  if (::fstatat(spot.folder.get(), spot.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno(cat("'", spot.name, "'"));
}

// Made when it is missing. One that somebody else makes at the same time will do, as long as it is a folder.
Result<UniqueFd> enter(int folder, const std::string& name, Owner owner, const std::string& path) {
  for (int tries = 0; tries < 3; ++tries) {
    UniqueFd next(::openat(folder, name.c_str(), kHold));
    if (next) return next;
    if (errno == ENOTDIR || errno == ELOOP) {
      return fail(Code::InvalidArgument, cat("'", path, "' lies behind '", name, "', which is no folder"));
    }
    if (errno != ENOENT) return fail_errno(cat("open the folder '", name, "' of '", path, "'"));
    if (::mkdirat(folder, name.c_str(), kFolderMode) == 0) {
      TRY(give(folder, name, owner));
    } else if (errno != EEXIST) {
      return fail_errno(cat("make the folder '", name, "' of '", path, "'"));
    }
  }
  return fail(Code::Aborted, cat("the folder '", name, "' of '", path, "' comes and goes"));
}

Status put_in_place(const Spot& spot, const std::string& hidden) {
  const int folder = spot.folder.get();
  if (::renameat(folder, hidden.c_str(), folder, spot.name.c_str()) == 0) {
    ::unlinkat(folder, hidden.c_str(), 0);  // two names of one file are both left by a rename
    return {};
  }
  auto error = fail_errno(cat("put '", spot.name, "' in its place"));
  ::unlinkat(folder, hidden.c_str(), 0);
  return error;
}

}  // namespace

std::string hidden_name() { return cat(".cofferdam-", to_hex(random_bytes(8))); }

Result<Spot> open_beneath(const std::string& root, const std::string& path, Owner owner) {
  TRY_ASSIGN(auto parts, parts_of(path));
  Spot spot;
  TRY_ASSIGN(spot.folder, open_file(root, O_PATH | O_DIRECTORY));
  spot.name = std::move(parts.back());
  parts.pop_back();
  for (const auto& part : parts) {
    TRY_ASSIGN(spot.folder, enter(spot.folder.get(), part, owner, path));
  }
  return spot;
}

Status check_no_folder(const Spot& spot) {
  struct stat info{};
  TRY_ASSIGN(const bool there, look(spot, info));
  if (!there || !S_ISDIR(info.st_mode)) return {};
  return fail(Code::FailedPrecondition, cat("there is a folder where '", spot.name, "' should go"));
}

bool is_mounted(const Spot& spot) {
  struct statx info{};
  if (::statx(spot.folder.get(), spot.name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &info) != 0) return false;
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

Status place_folder(const Spot& spot, std::uint32_t mode, Owner owner, Found found) {
  struct stat info{};
  TRY_ASSIGN(const bool there, look(spot, info));
  const bool folder_there = there && S_ISDIR(info.st_mode);
  if (folder_there && found == Found::stays) return {};
  const int folder = spot.folder.get();
  if (there && !folder_there && ::unlinkat(folder, spot.name.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_errno(cat("clear the way of '", spot.name, "'"));
  }
  if (!folder_there && ::mkdirat(folder, spot.name.c_str(), mode) != 0) {
    return fail_errno(cat("make the folder '", spot.name, "'"));
  }
  const UniqueFd made(::openat(folder, spot.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) return fail_errno(cat("open the folder '", spot.name, "'"));
  return give_as(made.get(), spot.name, mode, owner);
}

Status place_symlink(const Spot& spot, const std::string& target, Owner owner) {
  if (target.empty() || target.find('\0') != std::string::npos) {
    return fail(Code::InvalidArgument, cat("'", target, "' is nothing a link can point to"));
  }
  TRY(check_no_folder(spot));
  const std::string hidden = hidden_name();
  if (::symlinkat(target.c_str(), spot.folder.get(), hidden.c_str()) != 0) {
    return fail_errno(cat("make the link '", spot.name, "'"));
  }
  if (auto given = give(spot.folder.get(), hidden, owner); !given) {
    ::unlinkat(spot.folder.get(), hidden.c_str(), 0);
    return given;
  }
  return put_in_place(spot, hidden);
}

Status place_hard_link(const Spot& spot, const Spot& from) {
  struct stat info{};
  TRY_ASSIGN(const bool there, look(from, info));
  if (!there) return fail(Code::NotFound, cat("there is no '", from.name, "' to be linked to"));
  if (!S_ISREG(info.st_mode)) {
    return fail(Code::InvalidArgument,
                cat("'", spot.name, "' is a link to '", from.name, "', which is no regular file"));
  }
  TRY(check_no_folder(spot));
  const std::string hidden = hidden_name();
  if (::linkat(from.folder.get(), from.name.c_str(), spot.folder.get(), hidden.c_str(), 0) != 0) {
    return fail_errno(cat("link '", spot.name, "' to '", from.name, "'"));
  }
  return put_in_place(spot, hidden);
}

}  // namespace cofferdam::guest

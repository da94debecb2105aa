#include "guest/file_info.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

wire::FileKind kind_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return wire::FileKind::File;
    case S_IFDIR:
      return wire::FileKind::Folder;
    case S_IFLNK:
      return wire::FileKind::Symlink;
    case S_IFIFO:
      return wire::FileKind::Fifo;
    case S_IFSOCK:
      return wire::FileKind::Socket;
    case S_IFCHR:
      return wire::FileKind::CharDevice;
    case S_IFBLK:
      return wire::FileKind::BlockDevice;
    default:
      return wire::FileKind::Other;
  }
}

}  // namespace

Status check_path(const std::string& path) {
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
    return fail(Code::InvalidArgument, cat("'", path, "' is not an absolute path in the guest"));
  }
  return {};
}

Result<std::string> real_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), &::free);
  if (!real) return fail_errno(cat("'", path, "'"));
  return std::string(real.get());
}

Result<UniqueFd> open_folder(const std::string& path) {
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  if (folder) return folder;
  if (errno == ENOTDIR) return fail(Code::FailedPrecondition, cat("'", path, "' is not a folder"));
  return fail_errno(cat("open '", path, "'"));
}

std::string join_path(std::string_view folder, std::string_view name) {
  std::string path(folder);
  if (!path.empty() && path.back() != '/' && !name.empty()) path += '/';
  path += name;
  return path;
}

bool is_kernel_folder(std::string_view path) { return path == "/proc" || path == "/sys" || path == "/dev"; }

wire::FileInfo info_of(std::string name, const struct stat& from) {
  wire::FileInfo info;
  info.name = std::move(name);
  info.kind = kind_of(from.st_mode);
  info.mode = from.st_mode & 07777;
  info.uid = from.st_uid;
  info.gid = from.st_gid;
  info.size = static_cast<std::uint64_t>(from.st_size);
  info.mtime_ns = from.st_mtim.tv_sec * kNsPerSecond + from.st_mtim.tv_nsec;
  return info;
}

std::string link_target(int folder, const char* name) {
  std::string target(wire::kMaxPath, '\0');
  const ssize_t n = ::readlinkat(folder, name, target.data(), target.size());
  target.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return target;
}

}  // namespace cofferdam::guest

#include "image/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::image {
namespace {

struct Split {
  std::string parent;  // "" is the root
  std::string name;
};

Result<Split> split_path(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  const auto slash = path.rfind('/');
  Split out;
  out.parent = slash == std::string_view::npos ? "" : std::string(path.substr(0, slash));
  out.name = std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
  if (out.name.empty() || out.name == "." || out.name == "..") {
    return fail(Code::InvalidArgument, cat("'", path, "' does not name a file"));
  }
  return out;
}

Result<UniqueFd> open_folder(int root, const std::string& path) {
  return open_in_root(root, path.empty() ? "/" : path, O_PATH | O_DIRECTORY);
}

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

}  // namespace

Result<UniqueFd> open_in_root(int root, const std::string& path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags) | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    if (fd) return fd;
    // EAGAIN: a rename elsewhere on the host raced with the check of "..".
    if (errno != EINTR && errno != EAGAIN) return fail_errno(cat("open '", path, "' in the root file system"));
  }
}

Status remove_at(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return fail_errno(cat("remove '", name, "'"));
  {
    const int fd = ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return fail_errno(cat("open the folder '", name, "'"));
    const std::unique_ptr<DIR, CloseDir> dir(::fdopendir(fd));
    if (!dir) return fail_errno(cat("list the folder '", name, "'"));
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string_view found = entry->d_name;
      if (found != "." && found != "..") names.emplace_back(found);
    }
    for (const auto& inner : names) TRY(remove_at(fd, inner));
  }
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return fail_errno(cat("remove the folder '", name, "'"));
  }
  return {};
}

Status make_root_folder(const std::string& folder) {
  TRY(make_directories(folder, 0755));
  if (::chmod(folder.c_str(), 0755) != 0) return fail_errno(cat("set the mode of '", folder, "'"));
  return {};
}

Result<Tree> Tree::open(const std::string& folder) {
  TRY_ASSIGN(UniqueFd fd, open_file(folder, O_RDONLY | O_DIRECTORY));
  return Tree(std::move(fd));
}

Result<std::string> Tree::read(std::string_view path, std::size_t max_bytes) const {
  // O_NONBLOCK: a FIFO of that name must not hold us.
  TRY_ASSIGN(const UniqueFd fd, open_in_root(root_.get(), std::string(path), O_RDONLY | O_NONBLOCK));
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  if (!S_ISREG(st.st_mode)) return fail(Code::InvalidArgument, cat("'", path, "' is not a plain file"));
  return read_fd(fd.get(), max_bytes);
}

Status Tree::write(std::string_view path, std::string_view bytes, unsigned mode, Owner owner) const {
  TRY_ASSIGN(const Split at, split_path(path));
  if (!at.parent.empty()) TRY(make_directory(at.parent, 0755));
  TRY_ASSIGN(const UniqueFd parent, open_folder(root_.get(), at.parent));
  if (::unlinkat(parent.get(), at.name.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_errno(cat("replace '", path, "' in the root file system"));
  }
  const UniqueFd fd(
      ::openat(parent.get(), at.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(cat("make '", path, "' in the root file system"));
  TRY(write_all(fd.get(), bytes));
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0) return fail_errno(cat("give '", path, "' its owner"));
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(cat("give '", path, "' its mode"));
  return {};
}

Status Tree::append(std::string_view path, std::string_view bytes) const {
  TRY_ASSIGN(const UniqueFd fd, open_in_root(root_.get(), std::string(path), O_WRONLY | O_APPEND | O_NONBLOCK));
  return write_all(fd.get(), bytes);
}

Status Tree::make_directory(std::string_view path, unsigned mode, Owner owner) const {
  if (is_directory(path)) return {};
  TRY_ASSIGN(const Split at, split_path(path));
  if (!at.parent.empty()) TRY(make_directory(at.parent, 0755));
  TRY_ASSIGN(const UniqueFd parent, open_folder(root_.get(), at.parent));
  if (::mkdirat(parent.get(), at.name.c_str(), 0700) != 0) {
    return fail_errno(cat("make the folder '", path, "' in the root file system"));
  }
  const UniqueFd fd(::openat(parent.get(), at.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(cat("open the folder '", path, "'"));
  if (::fchown(fd.get(), owner.uid, owner.gid) != 0) return fail_errno(cat("give '", path, "' its owner"));
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(cat("give '", path, "' its mode"));
  return {};
}

bool Tree::is_directory(std::string_view path) const { return open_folder(root_.get(), std::string(path)).has_value(); }

bool Tree::exists(std::string_view path) const {
  return open_in_root(root_.get(), std::string(path), O_PATH | O_NOFOLLOW).has_value();
}

Status Tree::symlink(std::string_view path, const std::string& target) const {
  TRY_ASSIGN(const Split at, split_path(path));
  if (!at.parent.empty()) TRY(make_directory(at.parent, 0755));
  TRY_ASSIGN(const UniqueFd parent, open_folder(root_.get(), at.parent));
  if (::symlinkat(target.c_str(), parent.get(), at.name.c_str()) != 0) return fail_errno(cat("link '", path, "'"));
  return {};
}

Status Tree::remove(std::string_view path) const {
  TRY_ASSIGN(const Split at, split_path(path));
  auto parent = open_folder(root_.get(), at.parent);
  if (!parent) {
    if (parent.error().code == Code::NotFound) return {};
    return fail(std::move(parent.error()));
  }
  return remove_at(parent->get(), at.name);
}

Status Tree::empty_directory(std::string_view path) const {
  auto folder = open_in_root(root_.get(), std::string(path), O_RDONLY | O_DIRECTORY);
  if (!folder) {
    if (folder.error().code == Code::NotFound) return {};
    return fail(std::move(folder.error()));
  }
  TRY_ASSIGN(const auto names, list_directory(cat("/proc/self/fd/", folder->get())));
  for (const auto& name : names) TRY(remove_at(folder->get(), name));
  return {};
}

}  // namespace cofferdam::image

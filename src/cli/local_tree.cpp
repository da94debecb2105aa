#include "cli/local_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "cli/cp_target.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {
namespace {

constexpr unsigned kPermissions = 0777;

std::string in_quotes(std::string_view name) { return cat("'", printable(name), "'"); }

}  // namespace

PendingFile::PendingFile(UniqueFd folder, UniqueFd fd, std::string name, std::string temporary)
    : folder_(std::move(folder)), fd_(std::move(fd)), name_(std::move(name)), temporary_(std::move(temporary)) {}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : folder_(std::move(other.folder_)),
      fd_(std::move(other.fd_)),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})) {}

PendingFile::~PendingFile() {
  if (!temporary_.empty()) ::unlinkat(folder_.get(), temporary_.c_str(), 0);
}

Status PendingFile::commit() {
  if (temporary_.empty()) {
    temporary_ = cat(".coffer-", to_hex(random_bytes(8)));
    const auto itself = cat("/proc/self/fd/", fd_.get());
    if (::linkat(AT_FDCWD, itself.c_str(), folder_.get(), temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      temporary_.clear();
      return fail_errno(cat("name the file ", in_quotes(name_)));
    }
  }
  if (::renameat(folder_.get(), temporary_.c_str(), folder_.get(), name_.c_str()) != 0) {
    return fail_errno(cat("write ", in_quotes(name_)));
  }
  temporary_.clear();
  return {};
}

Result<LocalFolder> LocalFolder::open(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  return LocalFolder(std::move(fd));
}

Result<LocalFolder> LocalFolder::enter(std::string_view name) const {
  TRY(check_entry_name(name));
  const std::string text(name);
  if (::mkdirat(fd_.get(), text.c_str(), 0700) != 0 && errno != EEXIST)
    return fail_errno(cat("make ", in_quotes(name)));
  UniqueFd fd(::openat(fd_.get(), text.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(cat("open the folder ", in_quotes(name)));
  return LocalFolder(std::move(fd));
}

Result<PendingFile> LocalFolder::create(std::string_view name, unsigned mode) const {
  TRY(check_entry_name(name));
  std::string temporary;
  UniqueFd folder(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 3));
  if (!folder) return fail_errno("duplicate a descriptor");
  UniqueFd fd(::openat(fd_.get(), ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (!fd && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    temporary = cat(".coffer-", to_hex(random_bytes(8)));
    fd = UniqueFd(::openat(fd_.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  }
  if (!fd) return fail_errno(cat("create ", in_quotes(name)));
  PendingFile file(std::move(folder), std::move(fd), std::string(name), std::move(temporary));
  if (::fchmod(file.fd(), mode & kPermissions) != 0) return fail_errno(cat("set the mode of ", in_quotes(name)));
  return file;
}

Status LocalFolder::set_mode(unsigned mode) const {
  if (::fchmod(fd_.get(), mode & kPermissions) != 0) return fail_errno("set the mode of a folder");
  return {};
}

}  // namespace cofferdam::cli

#include "keys/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::keys {

Result<std::unique_ptr<HostFiles>> HostFiles::open(const std::string& dir) {
  TRY(make_directories(dir, 0700));
  return std::unique_ptr<HostFiles>(new HostFiles(dir));
}

std::string HostFiles::path(const std::string& name) const { return cat(dir_, "/", name); }

Result<int> HostFiles::descriptor(const std::string& name, Absent absent) {
  const std::lock_guard lock(mutex_);
  if (const auto found = open_.find(name); found != open_.end()) return found->second.get();
  const int flags = O_RDWR | O_NOFOLLOW | (absent == Absent::make ? O_CREAT : 0);
  TRY_ASSIGN(UniqueFd file, open_file(path(name), flags, 0600));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat '", path(name), "'"));
  if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
    return fail(Code::FailedPrecondition, cat("'", path(name), "' can be read by others than its owner"),
                cat("chmod 600 '", path(name), "'; what it protects is safe only if nobody has read it"));
  }
  const int fd = file.get();
  open_.emplace(name, std::move(file));
  return fd;
}

void HostFiles::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  open_.erase(name);
}

Result<std::optional<std::uint64_t>> HostFiles::size(const std::string& name) {
  struct stat st{};
  if (::lstat(path(name).c_str(), &st) != 0) {
    if (errno == ENOENT) return std::nullopt;
    return fail_errno(cat("look at '", path(name), "'"));
  }
  return static_cast<std::uint64_t>(st.st_size);
}

Result<SecureBytes> HostFiles::read(const std::string& name, std::uint64_t offset, std::size_t size) {
  TRY_ASSIGN(const int fd, descriptor(name, Absent::fail));
  SecureBytes bytes(size);
  std::size_t have = 0;
  while (have < size) {
    const ssize_t n = ::pread(fd, bytes.writable().data() + have, size - have, static_cast<off_t>(offset + have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("read '", path(name), "'"));
    if (n == 0) return fail(Code::DataLoss, cat("'", path(name), "' was cut off at ", offset + have, " bytes"));
    have += static_cast<std::size_t>(n);
  }
  return bytes;
}

Status HostFiles::write(const std::string& name, std::uint64_t offset, std::string_view bytes) {
  TRY_ASSIGN(const int fd, descriptor(name, Absent::make));
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("write '", path(name), "'"));
    offset += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status HostFiles::punch(const std::string& name, std::uint64_t offset, std::uint64_t size) {
  TRY_ASSIGN(const int fd, descriptor(name, Absent::fail));
  constexpr int kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  if (::fallocate(fd, kPunch, static_cast<off_t>(offset), static_cast<off_t>(size)) == 0) return {};
  if (errno == EOPNOTSUPP || errno == ENOSYS) return {};
  return fail_errno(cat("give blocks of '", path(name), "' back"));
}

Status HostFiles::sync(const std::string& name) {
  TRY_ASSIGN(const int fd, descriptor(name, Absent::fail));
  // Sizes and blocks are part of it, times are not: in a file whose blocks are there, that is one write to the disk.
  if (::fdatasync(fd) != 0) return fail_errno(cat("sync '", path(name), "'"));
  return {};
}

Status HostFiles::rename(const std::string& from, const std::string& to) {
  forget(from);
  forget(to);
  if (::rename(path(from).c_str(), path(to).c_str()) != 0) {
    return fail_errno(cat("rename '", path(from), "' to '", path(to), "'"));
  }
  return {};
}

Status HostFiles::remove(const std::string& name) {
  forget(name);
  if (::unlink(path(name).c_str()) != 0 && errno != ENOENT) return fail_errno(cat("remove '", path(name), "'"));
  return {};
}

Status HostFiles::sync_folder() {
  TRY_ASSIGN(const UniqueFd dir, open_file(dir_, O_RDONLY | O_DIRECTORY));
  if (::fsync(dir.get()) != 0) return fail_errno(cat("sync the folder '", dir_, "'"));
  return {};
}

}  // namespace cofferdam::keys

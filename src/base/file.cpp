#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>

#include "base/random.h"
#include "base/text.h"

namespace cofferdam {
namespace {

Result<UniqueFd> open_locked(const std::string& path, int operation) {
  for (;;) {
    TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT, 0600));
    while (::flock(fd.get(), operation) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return fail(Code::Unavailable, cat("'", path, "' is locked by another process"));
      return fail_errno(cat("lock '", path, "'"));
    }
    // Its last holder may have taken the name away while we waited: then the lock that counts is another file's.
    struct stat ours{};
    struct stat named{};
    if (::fstat(fd.get(), &ours) != 0) return fail_errno(cat("stat '", path, "'"));
    if (::stat(path.c_str(), &named) == 0 && named.st_ino == ours.st_ino && named.st_dev == ours.st_dev) return fd;
  }
}

Status fsync_parent(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  TRY_ASSIGN(UniqueFd dir, open_file(parent.empty() ? "." : parent.string(), O_RDONLY | O_DIRECTORY));
  if (::fsync(dir.get()) != 0) return fail_errno(cat("sync folder of '", path, "'"));
  return {};
}

}  // namespace

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode) {
  for (;;) {
    UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) return fail_errno(cat("open '", path, "'"));
  }
}

Result<std::string> read_fd(int fd, std::size_t max_bytes) {
  std::string out;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno("read");
    }
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > max_bytes) {
      return fail(Code::ResourceExhausted, cat("more than ", max_bytes, " bytes"));
    }
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t max_bytes) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDONLY));
  auto content = read_fd(fd.get(), max_bytes);
  if (!content) return fail(std::move(content.error()).in(cat("'", path, "'")));
  return content;
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno("write");
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Status write_file_atomically(const std::string& path, std::string_view bytes, unsigned mode) {
  const std::string temporary = cat(path, ".tmp-", to_hex(random_bytes(6)));
  TRY_ASSIGN(UniqueFd fd, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
  auto give_up = [&](Error error) -> Status {
    ::unlink(temporary.c_str());
    return fail(std::move(error).in(cat("write '", path, "'")));
  };
  if (auto written = write_all(fd.get(), bytes); !written) return give_up(std::move(written.error()));
  if (::fsync(fd.get()) != 0) return give_up(errno_error("fsync", errno));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return give_up(errno_error("rename", errno));
  return fsync_parent(path);
}

Status write_control_file(const std::string& path, std::string_view bytes) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_WRONLY));
  if (auto written = write_all(fd.get(), bytes); !written) {
    return fail(std::move(written.error()).in(cat("'", bytes, "' to '", path, "'")));
  }
  return {};
}

Status make_directories(const std::string& path, unsigned mode) {
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) return {};
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty() && parent != path) TRY(make_directories(parent.string(), 0755));
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(cat("make folder '", path, "'"));
  return {};
}

Status remove_tree(const std::string& path) {
  std::error_code ec;
  std::filesystem::remove_all(path, ec);
  if (ec) return fail(errno_error(cat("remove '", path, "'"), ec.value()));
  return {};
}

bool path_exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return fail_errno(cat("list '", path, "'"));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::uint64_t> copy_sparse(int from, int to) {
  struct stat st{};
  if (::fstat(from, &st) != 0) return fail_errno("stat the source of a copy");
  if (::ftruncate(to, st.st_size) != 0) return fail_errno("set the size of a copy");
  std::uint64_t copied = 0;
  off_t at = 0;
  while (at < st.st_size) {
    const off_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0) {
      if (errno == ENXIO) break;  // only a hole is left
      return fail_errno("seek data");
    }
    const off_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole < 0) return fail_errno("seek hole");
    off_t in = data;
    off_t out = data;
    while (in < hole) {
      const ssize_t n = ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(hole - in), 0);
      if (n > 0) {
        copied += static_cast<std::uint64_t>(n);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != EBADF) {
        return fail_errno("copy file range");
      }
      // Across file systems, or a kernel that cannot: by hand.
      char buffer[65536];
      const auto want = std::min<off_t>(hole - in, static_cast<off_t>(sizeof buffer));
      const ssize_t got = ::pread(from, buffer, static_cast<std::size_t>(want), in);
      if (got < 0) return fail_errno("read the source of a copy");
      if (got == 0) return fail(Code::DataLoss, "the source of a copy shrank");
      if (::pwrite(to, buffer, static_cast<std::size_t>(got), out) != got) return fail_errno("write a copy");
      in += got;
      out += got;
      copied += static_cast<std::uint64_t>(got);
    }
    at = hole;
  }
  return copied;
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_locked(path, LOCK_EX));
  return FileLock(std::move(fd));
}

FileLock::~FileLock() {
  if (fd_ && !passing_.empty()) (void)::unlink(passing_.c_str());
}

Result<FileLock> FileLock::acquire_passing(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_locked(path, LOCK_EX));
  FileLock lock(std::move(fd));
  lock.passing_ = path;
  return lock;
}

Result<FileLock> FileLock::try_acquire(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_locked(path, LOCK_EX | LOCK_NB));
  return FileLock(std::move(fd));
}

}  // namespace cofferdam

// Files: bounded reads, durable atomic writes, and small helpers; every descriptor is close-on-exec.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam {

Result<UniqueFd> open_file(const std::string& path, int flags, unsigned mode = 0600);

// The whole file; more than `max_bytes` is an error, not a cut.
Result<std::string> read_file(const std::string& path, std::size_t max_bytes);
Result<std::string> read_fd(int fd, std::size_t max_bytes);

// All bytes, EINTR and short writes handled.
Status write_all(int fd, std::string_view bytes);

// Old content or new content, never a half: temporary file, fsync, rename, fsync of the folder.
Status write_file_atomically(const std::string& path, std::string_view bytes, unsigned mode = 0600);

// One write(2) to an existing file, such as one of /proc, /sys or a cgroup.
Status write_control_file(const std::string& path, std::string_view bytes);

Status make_directories(const std::string& path, unsigned mode = 0700);
Status remove_tree(const std::string& path);  // absent is fine
bool path_exists(const std::string& path);
Result<std::vector<std::string>> list_directory(const std::string& path);  // names, sorted, without . and ..

// Copies the data extents of `from` (holes stay holes) to the same offsets of the empty file `to`, and sets its
// size. Returns the bytes copied.
Result<std::uint64_t> copy_sparse(int from, int to);

// An exclusive flock(2) on `path` (made if absent), held until destruction.
class FileLock {
 public:
  // Waits until the lock is free.
  static Result<FileLock> acquire(const std::string& path);
  // The same, and the file goes with the lock.
  static Result<FileLock> acquire_passing(const std::string& path);
  // Unavailable at once when somebody holds it.
  static Result<FileLock> try_acquire(const std::string& path);
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::string passing_;  // its path, when it goes with the lock
};

}  // namespace cofferdam

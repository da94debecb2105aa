#include "disk/volume.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

constexpr auto kGrowLimit = std::chrono::minutes(5);

}  // namespace

Result<Volume> Volume::lock(UniqueFd file, const std::string& what) {
  // flock(2) belongs to the open file, which the VMM shares: it is free again when the last of them has closed it.
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno(cat("lock ", what));
    return fail(Code::FailedPrecondition, cat(what, " is still in use by a virtual machine"),
                "wait for it to end; `coffer ls` shows what runs");
  }
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat ", what));
  if (!S_ISREG(st.st_mode) || st.st_size == 0 || static_cast<std::uint64_t>(st.st_size) % model::kMiB != 0) {
    return fail(Code::DataLoss, cat(what, " is not a disk: its size is ", st.st_size, " bytes"));
  }
  return Volume(std::move(file), static_cast<std::uint64_t>(st.st_size));
}

Result<Volume> Volume::open(const std::string& path) {
  TRY_ASSIGN(UniqueFd file, open_file(path, O_RDWR | O_NOFOLLOW));
  return lock(std::move(file), cat("the disk '", path, "'"));
}

Status Volume::persist(const std::string& path) {
  if (::fsync(file_.get()) != 0) return fail_errno(cat("fsync the disk for '", path, "'"));
  const std::string ours = cat("/proc/self/fd/", file_.get());
  if (::linkat(AT_FDCWD, ours.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    Error error = errno_error(cat("name the disk '", path, "'"), errno);
    if (error.code == Code::NotFound) {
      error.hint = "the file system of the state folder must support O_TMPFILE (ext4, xfs, btrfs)";
    }
    return fail(std::move(error));
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  TRY_ASSIGN(const UniqueFd parent, open_file(folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(parent.get()) != 0) return fail_errno(cat("sync the folder '", folder, "'"));
  return {};
}

Status Volume::grow(std::uint32_t mib) {
  const std::uint64_t wanted = mib * model::kMiB;
  const std::string ours = cat("/proc/", ::getpid(), "/fd/", file_.get());
  if (wanted > bytes_) {
    if (::ftruncate(file_.get(), static_cast<off_t>(wanted)) != 0) return fail_errno("make a disk larger");
    bytes_ = wanted;
  }
  // The check also replays the journal of a guest that had no time to end.
  RunOptions check;
  check.argv = {"/usr/sbin/e2fsck", "-f", "-p", ours};
  check.timeout = kGrowLimit;
  auto checked = run(check);
  if (!checked) return fail(std::move(checked.error()).in("check a disk"));
  constexpr int kCorrected = 1;
  if (checked->status > kCorrected) {
    return fail(Code::DataLoss,
                cat("the file system of a disk has errors that are not corrected by themselves (e2fsck ended with ",
                    checked->status, ")"),
                "start the workspace as it is and save its files");
  }
  // Without a size it takes all of the room; one that has it already is left alone.
  RunOptions resize;
  resize.argv = {"/usr/sbin/resize2fs", ours};
  resize.timeout = kGrowLimit;
  auto resized = run_checked(resize);
  if (!resized) return fail(std::move(resized.error()).in(cat("make a disk ", mib, " MiB large")));
  if (::fsync(file_.get()) != 0) return fail_errno("fsync a disk");
  return {};
}

Result<UniqueFd> Volume::descriptor() const {
  UniqueFd copy(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno("duplicate a disk's descriptor");
  return copy;
}

}  // namespace cofferdam::disk

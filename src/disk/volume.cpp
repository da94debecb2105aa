#include "disk/volume.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "disk/luks.h"
#include "disk/qcow2.h"
#include "disk/volume_file.h"

namespace cofferdam::disk {

Status lock_for_use(int file, const std::string& what) {
  // flock(2) belongs to the open file, which the VMM shares: it is free again when the last of them has closed it.
  while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) return fail_errno(cat("lock ", what));
    return fail(Code::FailedPrecondition, cat(what, " is still in use by a virtual machine"),
                "wait for it to end; `coffer ls` shows what runs");
  }
  return {};
}

Result<Volume> Volume::open(const std::string& path, keys::Key key, VolumeFacts facts) {
  return open_for(Use::by_a_machine, path, std::move(key), std::move(facts));
}

Result<Volume> Volume::open_to_read(const std::string& path, keys::Key key, VolumeFacts facts) {
  return open_for(Use::to_read, path, std::move(key), std::move(facts));
}

Result<Volume> Volume::open_for(Use use, const std::string& path, keys::Key key, VolumeFacts facts) {
  const std::string what = cat("the disk '", path, "'");
  TRY_ASSIGN(UniqueFd file, open_file(path, (use == Use::to_read ? O_RDONLY : O_RDWR) | O_NOFOLLOW));
  if (use == Use::by_a_machine) TRY(lock_for_use(file.get(), what));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat ", what));
  if (!S_ISREG(st.st_mode)) return fail(Code::DataLoss, cat(what, " is no file"));
  auto checked = check_image(file.get(), facts.bytes);
  if (!checked) return fail(std::move(checked.error()).in(what));
  TRY_ASSIGN(const auto header, read_header(file.get()));
  if (crypto::sha256_hex(header.bytes) != facts.header_sha256) {
    return fail(Code::DataLoss, cat(what, " has another LUKS header than this workspace's disk had"),
                "put back the disk file that belongs here: the header was damaged, or it is another workspace's");
  }
  return Volume(std::move(file), std::move(key), std::move(facts));
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

Result<UniqueFd> Volume::descriptor() const {
  UniqueFd copy(::fcntl(file_.get(), F_DUPFD_CLOEXEC, 3));
  if (!copy) return fail_errno("duplicate a disk's descriptor");
  return copy;
}

Result<std::uint64_t> Volume::discard() {
  forget_key();
  return discard_file(file_.get());
}

Result<std::uint64_t> discard_file(int file) {
  struct stat st{};
  if (::fstat(file, &st) != 0) return fail_errno("stat a disk");
  constexpr std::uint64_t kStatBlock = 512;
  const auto allocated = static_cast<std::uint64_t>(st.st_blocks) * kStatBlock;
  // Punched before it is cut: where the host's file system passes discards on, so does this.
  if (st.st_size > 0 && ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size) != 0 &&
      errno != EOPNOTSUPP) {
    return fail_errno("discard the blocks of a disk");
  }
  if (::ftruncate(file, 0) != 0) return fail_errno("cut a disk to nothing");
  return allocated;
}

SecureBytes Volume::passphrase() const { return passphrase_of(key_.bytes); }

}  // namespace cofferdam::disk

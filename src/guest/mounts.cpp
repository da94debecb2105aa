#include "guest/mounts.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string_view>
#include <thread>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr auto kDiskDeadline = std::chrono::seconds(2);
constexpr auto kDiskPoll = std::chrono::milliseconds(1);

Status make_folder(const std::string& path, mode_t mode = 0755) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail_errno(cat("make folder '", path, "'"));
  return {};
}

Status mount_at(const char* source, const std::string& target, const char* type, unsigned long flags,
                const std::string& options = {}) {
  TRY(make_folder(target));
  if (::mount(source, target.c_str(), type, flags, options.c_str()) != 0) {
    return fail_errno(cat("mount ", type, " '", source, "' at '", target, "'"));
  }
  return {};
}

// A clone's disk gets its size only after the clone runs.
Result<std::uint64_t> wait_for_size(const std::string& disk) {
  TRY_ASSIGN(const UniqueFd device, open_file(disk, O_RDONLY));
  const auto deadline = std::chrono::steady_clock::now() + kDiskDeadline;
  for (;;) {
    std::uint64_t bytes = 0;
    if (::ioctl(device.get(), BLKGETSIZE64, &bytes) != 0) return fail_errno(cat("read the size of '", disk, "'"));
    if (bytes > 0) return bytes;
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(Code::DeadlineExceeded, cat("the disk '", disk, "' had no size within 2 s"),
                  "resize the block device before Prepare");
    }
    std::this_thread::sleep_for(kDiskPoll);
  }
}

// A file system on a disk that was made larger grows while it is mounted: the host never looks into a guest's.
Status grow_file_system(const std::string& disk, std::uint64_t bytes) {
  constexpr std::uint64_t kBlock = 4096;
  constexpr off_t kBlockCount = 1024 + 4;  // s_blocks_count_lo, in the superblock
  std::uint32_t now = 0;
  TRY_ASSIGN(const UniqueFd device, open_file(disk, O_RDONLY));
  if (::pread(device.get(), &now, sizeof now, kBlockCount) != static_cast<ssize_t>(sizeof now)) {
    return fail_errno(cat("read the superblock of '", disk, "'"));
  }
  std::uint64_t wanted = bytes / kBlock;
  if (now >= wanted) return {};
  TRY_ASSIGN(const UniqueFd root, open_file("/disk", O_RDONLY | O_DIRECTORY));
  constexpr unsigned long kResize = _IOW('f', 16, std::uint64_t);  // EXT4_IOC_RESIZE_FS
  if (::ioctl(root.get(), kResize, &wanted) != 0) {
    return fail_errno(cat("make the file system of '", disk, "' ", wanted, " blocks large"));
  }
  return {};
}

Status link_at(const char* target, const std::string& path) {
  if (::symlink(target, path.c_str()) != 0 && errno != EEXIST) return fail_errno(cat("link '", path, "'"));
  return {};
}

Status mount_devices() {
  TRY(make_folder("/dev"));
  // A kernel with CONFIG_DEVTMPFS_MOUNT may have done it.
  if (::mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "") != 0 && errno != EBUSY) {
    return fail_errno("mount devtmpfs at '/dev'");
  }
  TRY(mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666"));
  TRY(mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777"));
  TRY(link_at("/proc/self/fd", "/dev/fd"));
  TRY(link_at("/proc/self/fd/0", "/dev/stdin"));
  TRY(link_at("/proc/self/fd/1", "/dev/stdout"));
  return link_at("/proc/self/fd/2", "/dev/stderr");
}

Status mount_sysfs() {
  constexpr unsigned long kFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  TRY(mount_at("sysfs", "/sys", "sysfs", kFlags));
  TRY(mount_at("cgroup2", kCgroupRoot, "cgroup2", kFlags));
  // Of this mount alone: the cgroups below it stay writable.
  if (::mount(nullptr, "/sys", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | kFlags, nullptr) != 0) {
    return fail_errno("make '/sys' read-only");
  }
  return {};
}

Status move_into(const std::string& root, const std::string& folder) {
  TRY(make_folder(root + folder));
  if (::mount(folder.c_str(), (root + folder).c_str(), nullptr, MS_MOVE, nullptr) != 0) {
    return fail_errno(cat("move '", folder, "' into the new root"));
  }
  return {};
}

// pivot_root(2) refuses the initramfs: its successor is moved over it instead.
Status move_root(const std::string& root) {
  if (::chdir(root.c_str()) != 0) return fail_errno(cat("enter '", root, "'"));
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0) return fail_errno("move the new root into place");
  if (::chroot(".") != 0 || ::chdir("/") != 0) return fail_errno("enter the new root");
  return {};
}

}  // namespace

Status mount_early() {
  TRY(mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC));
  TRY(mount_sysfs());
  TRY(mount_devices());
  TRY(mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755"));
  return make_folder("/run/lock", 01777);
}

Status mount_image(const std::string& device) {
  return mount_at(device.c_str(), kLowerRoot, "erofs", MS_RDONLY | MS_NOATIME);
}

Result<std::uint64_t> enter_root(const std::string& disk) {
  TRY_ASSIGN(const std::uint64_t bytes, wait_for_size(disk));
  // Its inode tables are zero as they are, and its bitmaps few: no thread needs to look after them. The overlay that
  // is laid over it knows no FITRIM, so what is deleted goes back to the host by itself.
  TRY(mount_at(disk.c_str(), "/disk", "ext4", MS_NOATIME, "noinit_itable,no_prefetch_block_bitmaps,discard"));
  TRY(grow_file_system(disk, bytes));
  TRY(make_folder("/disk/upper"));
  TRY(make_folder("/disk/work", 0700));
  const std::string root = "/root";
  TRY(mount_at("overlay", root, "overlay", MS_NOATIME,
               cat("lowerdir=", kLowerRoot, ",upperdir=/disk/upper,workdir=/disk/work")));
  for (const auto* folder : {"/proc", "/sys", "/dev", "/run"}) TRY(move_into(root, folder));
  TRY(make_folder(root + "/tmp", 01777));
  TRY(make_folder(root + "/etc"));
  TRY(move_root(root));
  return bytes;
}

Status mount_one(const wire::Mount& request) {
  if (request.target.empty() || request.target.front() != '/') {
    return fail(Code::InvalidArgument, cat("mount target '", request.target, "' is not an absolute path"));
  }
  TRY(make_directories(request.target, 0755));
  return mount_at(request.source.c_str(), request.target, request.type.c_str(),
                  MS_NOSUID | MS_NODEV | (request.read_only ? MS_RDONLY : 0UL), request.options);
}

}  // namespace cofferdam::guest

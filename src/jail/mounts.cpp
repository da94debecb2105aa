#include "jail/mounts.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/text.h"

namespace cofferdam::jail {
namespace {

constexpr char kKvmDevice[] = "/dev/kvm";
constexpr unsigned kKvmMajor = 10;
constexpr unsigned kKvmMinor = 232;

Status bind_read_only(const std::string& root) {
  if (::mount(root.c_str(), root.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return fail(errno_error(cat("bind the bundle '", root, "'"), errno)
                    .with_hint("the bundle is missing or unusable; a restart of cofferd makes it again"));
  }
  const unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV;
  if (::mount(nullptr, root.c_str(), nullptr, flags, nullptr) != 0) {
    return fail_errno(cat("make the bundle '", root, "' read-only"));
  }
  return {};
}

Status mount_proc(const std::string& root) {
  const auto target = root + "/proc";
  const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("proc", target.c_str(), "proc", flags, "hidepid=invisible,subset=pid") != 0) {
    return fail(errno_error(cat("mount a new proc on '", target, "'"), errno)
                    .with_hint("needs a kernel of 5.8 or later, and in a container an unmasked /proc"));
  }
  return {};
}

// A tmpfs that holds this one node and is read-only afterwards.
Status mount_kvm_device(const JailPlan& plan) {
  struct stat host{};
  if (::stat(kKvmDevice, &host) != 0) return fail_errno(cat("stat '", kKvmDevice, "'"));
  if (!S_ISCHR(host.st_mode) || host.st_rdev != makedev(kKvmMajor, kKvmMinor)) {
    return fail(Code::FailedPrecondition, cat("'", kKvmDevice, "' is not the KVM device"));
  }
  const auto folder = plan.root + "/dev";
  const unsigned long flags = MS_NOSUID | MS_NOEXEC;
  if (::mount("tmpfs", folder.c_str(), "tmpfs", flags, "size=4k,nr_inodes=4,mode=0755") != 0) {
    return fail_errno(cat("mount a tmpfs on '", folder, "'"));
  }
  const auto node = folder + "/kvm";
  if (::mknod(node.c_str(), S_IFCHR | 0600, host.st_rdev) != 0) return fail_errno(cat("make '", node, "'"));
  if (::chown(node.c_str(), plan.uid, plan.gid) != 0) return fail_errno(cat("chown '", node, "'"));
  if (::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY | flags, nullptr) != 0) {
    return fail_errno(cat("make '", folder, "' read-only"));
  }
  return {};
}

// pivot_root(".", "."): the old root ends up on top of the new one, and is then detached.
Status pivot(const std::string& root) {
  if (::chdir(root.c_str()) != 0) return fail_errno(cat("enter '", root, "'"));
  if (::syscall(SYS_pivot_root, ".", ".") != 0) {
    return fail(errno_error(cat("pivot_root to '", root, "'"), errno)
                    .with_hint("a system that runs from its initramfs cannot: switch_root to a mounted root first"));
  }
  if (::umount2(".", MNT_DETACH) != 0) return fail_errno("detach the host's root");
  if (::chdir("/") != 0) return fail_errno("enter the new root");
  return {};
}

}  // namespace

Status enter_root(const JailPlan& plan) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fail_errno("make all mounts private");
  TRY(bind_read_only(plan.root));
  TRY(mount_proc(plan.root));
  if (plan.kvm == KvmDevice::yes) TRY(mount_kvm_device(plan));
  return pivot(plan.root);
}

}  // namespace cofferdam::jail

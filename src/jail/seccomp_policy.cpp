#include "jail/seccomp_policy.h"

#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include <array>
#include <cerrno>
#include <memory>

#include "base/text.h"

namespace cofferdam::jail {
namespace {

// Found by tracing QEMU 7.2 through boot, migration to a file, start from it, block_resize, throttling and quit; then
// completed with the variants of the same calls that another libc or another disk driver uses.
constexpr int kAllowed[] = {
    // start of the program, the dynamic loader
    SCMP_SYS(execve), SCMP_SYS(brk), SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid),
    SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getresuid), SCMP_SYS(getresgid),
    SCMP_SYS(getgroups), SCMP_SYS(getrandom), SCMP_SYS(exit), SCMP_SYS(exit_group),
    // memory; mprotect and mmap with PROT_EXEC are what a translator lives of
    SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(membarrier),
    SCMP_SYS(get_mempolicy), SCMP_SYS(memfd_create),
    // files by path (the bundle and /proc are read-only) and by descriptor
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(read), SCMP_SYS(write),
    SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(preadv), SCMP_SYS(pwritev),
    SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(getdents64), SCMP_SYS(fchdir),
    SCMP_SYS(getcwd), SCMP_SYS(fcntl), SCMP_SYS(flock), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(fadvise64), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range), SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate), SCMP_SYS(copy_file_range),
    // the event loop
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(eventfd2), SCMP_SYS(pipe2), SCMP_SYS(signalfd4),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    // QMP and chardevs on sockets that were handed in; socket(2) is not here
    SCMP_SYS(recvmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(shutdown), SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(accept4),
    // threads, signals, time
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(getcpu), SCMP_SYS(tgkill), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(nanosleep), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getrusage),
    SCMP_SYS(times),
    // QEMU's own filter, on top of this one
    SCMP_SYS(seccomp)};

// No VMM of ours ever makes these: whoever does has taken it over.
constexpr int kDeadly[] = {SCMP_SYS(mount),
                           SCMP_SYS(umount2),
                           SCMP_SYS(pivot_root),
                           SCMP_SYS(chroot),
                           SCMP_SYS(mount_setattr),
                           SCMP_SYS(move_mount),
                           SCMP_SYS(open_tree),
                           SCMP_SYS(fsopen),
                           SCMP_SYS(fsconfig),
                           SCMP_SYS(fsmount),
                           SCMP_SYS(fspick),
                           SCMP_SYS(setns),
                           SCMP_SYS(unshare),
                           SCMP_SYS(mknod),
                           SCMP_SYS(mknodat),
                           SCMP_SYS(name_to_handle_at),
                           SCMP_SYS(open_by_handle_at),
                           SCMP_SYS(ptrace),
                           SCMP_SYS(process_vm_readv),
                           SCMP_SYS(process_vm_writev),
                           SCMP_SYS(process_madvise),
                           SCMP_SYS(pidfd_open),
                           SCMP_SYS(pidfd_getfd),
                           SCMP_SYS(pidfd_send_signal),
                           SCMP_SYS(kcmp),
                           SCMP_SYS(bpf),
                           SCMP_SYS(perf_event_open),
                           SCMP_SYS(userfaultfd),
                           SCMP_SYS(fanotify_init),
                           SCMP_SYS(lookup_dcookie),
                           SCMP_SYS(add_key),
                           SCMP_SYS(request_key),
                           SCMP_SYS(keyctl),
                           SCMP_SYS(init_module),
                           SCMP_SYS(finit_module),
                           SCMP_SYS(delete_module),
                           SCMP_SYS(kexec_load),
                           SCMP_SYS(kexec_file_load),
                           SCMP_SYS(reboot),
                           SCMP_SYS(swapon),
                           SCMP_SYS(swapoff),
                           SCMP_SYS(acct),
                           SCMP_SYS(quotactl),
                           SCMP_SYS(syslog),
                           SCMP_SYS(iopl),
                           SCMP_SYS(ioperm),
                           SCMP_SYS(modify_ldt),
                           SCMP_SYS(personality),
                           SCMP_SYS(settimeofday),
                           SCMP_SYS(clock_settime),
                           SCMP_SYS(clock_adjtime),
                           SCMP_SYS(adjtimex),
                           SCMP_SYS(sethostname),
                           SCMP_SYS(setdomainname),
                           SCMP_SYS(setuid),
                           SCMP_SYS(setreuid),
                           SCMP_SYS(setresuid),
                           SCMP_SYS(setfsuid),
                           SCMP_SYS(setgid),
                           SCMP_SYS(setregid),
                           SCMP_SYS(setresgid),
                           SCMP_SYS(setfsgid),
                           SCMP_SYS(setgroups),
                           SCMP_SYS(capset),
                           SCMP_SYS(vhangup)};

// Of ioctl(2) only what a TAP, a regular file and a terminal check need. TIOCSTI and TIOCLINUX are not here.
constexpr std::array<std::uint64_t, 14> kIoctls = {
    TCGETS,       FIONBIO,      FIONREAD,        FIOCLEX,         TUNGETIFF,    TUNGETFEATURES, TUNSETOFFLOAD,
    TUNSETSNDBUF, TUNGETSNDBUF, TUNSETVNETHDRSZ, TUNGETVNETHDRSZ, TUNSETVNETLE, TUNSETVNETBE,   TUNSETQUEUE};
constexpr std::uint64_t kIoctlTypeMask = 0xff00;
constexpr std::uint64_t kKvmIoctlType = static_cast<std::uint64_t>(KVMIO) << 8;

// PR_SET_PDEATHSIG is not here: the VMM must not outlive its supervisor.
constexpr std::array<std::uint64_t, 5> kPrctls = {PR_SET_NAME, PR_SET_TIMERSLACK, PR_MCE_KILL, PR_SET_NO_NEW_PRIVS,
                                                  PR_GET_NO_NEW_PRIVS};

constexpr std::uint64_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
constexpr std::uint64_t kNamespaceFlags = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                          CLONE_NEWPID | CLONE_NEWNET | CLONE_VFORK | CLONE_PTRACE;
constexpr std::uint64_t kLow32 = 0xffffffff;

Status check(int rc, std::string_view what) {
  if (rc == 0) return {};
  return fail(errno_error(cat("seccomp: ", what), -rc));
}

Status add_argument_rules(scmp_filter_ctx filter, KvmDevice kvm) {
  for (const auto request : kIoctls) {
    const scmp_arg_cmp same{1, SCMP_CMP_MASKED_EQ, kLow32, request};
    TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &same), "ioctl"));
  }
  if (kvm == KvmDevice::yes) {
    const scmp_arg_cmp same{1, SCMP_CMP_MASKED_EQ, kIoctlTypeMask, kKvmIoctlType};
    TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, &same), "ioctl of KVM"));
  }
  for (const auto option : kPrctls) {
    const scmp_arg_cmp same{0, SCMP_CMP_MASKED_EQ, kLow32, option};
    TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &same), "prctl"));
  }
  const scmp_arg_cmp thread{0, SCMP_CMP_MASKED_EQ, kThreadFlags | kNamespaceFlags, kThreadFlags};
  TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &thread), "clone"));
  const scmp_arg_cmp ask{2, SCMP_CMP_EQ, 0, 0};  // prlimit64 without a new limit
  TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, &ask), "prlimit64"));
  // ENOSYS makes the C library use clone(2), whose flags can be looked at, and QEMU use ppoll instead of io_uring.
  TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0, nullptr), "clone3"));
  return check(seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0, nullptr),
               "io_uring_setup");
}

}  // namespace

Status write_filter(KvmDevice kvm, int out) {
  const std::unique_ptr<void, void (*)(scmp_filter_ctx)> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)), seccomp_release);
  if (!filter) return fail(Code::Internal, "seccomp: no filter could be made");
  // Another ABI (32-bit, x32) would be a way around the numbers above.
  TRY(check(seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "foreign ABIs"));
  TRY(check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "search tree"));
  for (const int call : kAllowed) {
    TRY(check(seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 0, nullptr), cat("allow call ", call)));
  }
  for (const int call : kDeadly) {
    TRY(check(seccomp_rule_add_array(filter.get(), SCMP_ACT_KILL_PROCESS, call, 0, nullptr), cat("kill on ", call)));
  }
  TRY(add_argument_rules(filter.get(), kvm));
  return check(seccomp_export_bpf(filter.get(), out), "export the filter");
}

}  // namespace cofferdam::jail

// Build-time: the system calls coffer-gate may make once it has started, printed as a compiled filter.
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/text.h"
#include "jail/filter_printer.h"

namespace {

using cofferdam::cat;
using cofferdam::Code;
using cofferdam::fail;
using cofferdam::Status;

constexpr int kAllowed[] = {
    // bytes
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(splice), SCMP_SYS(pipe2),
    // sockets, of which socket(2) itself is below
    SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(shutdown), SCMP_SYS(getsockname),
    SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(fcntl),
    // the loop and the clock
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
    SCMP_SYS(getrandom), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    // memory, of which mmap and mprotect are below
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
    // the end
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(gettid), SCMP_SYS(getpid), SCMP_SYS(tgkill)};

// The gate never makes these: whoever does has taken it over. Everything else fails with EPERM.
constexpr int kDeadly[] = {SCMP_SYS(execve),
                           SCMP_SYS(execveat),
                           SCMP_SYS(fork),
                           SCMP_SYS(vfork),
                           SCMP_SYS(clone),
                           SCMP_SYS(clone3),
                           SCMP_SYS(ptrace),
                           SCMP_SYS(process_vm_readv),
                           SCMP_SYS(process_vm_writev),
                           SCMP_SYS(pidfd_getfd),
                           SCMP_SYS(setns),
                           SCMP_SYS(unshare),
                           SCMP_SYS(mount),
                           SCMP_SYS(umount2),
                           SCMP_SYS(pivot_root),
                           SCMP_SYS(chroot),
                           SCMP_SYS(bpf),
                           SCMP_SYS(perf_event_open),
                           SCMP_SYS(userfaultfd),
                           SCMP_SYS(io_uring_setup),
                           SCMP_SYS(keyctl),
                           SCMP_SYS(add_key),
                           SCMP_SYS(request_key),
                           SCMP_SYS(init_module),
                           SCMP_SYS(finit_module),
                           SCMP_SYS(kexec_load),
                           SCMP_SYS(reboot),
                           SCMP_SYS(setuid),
                           SCMP_SYS(setgid),
                           SCMP_SYS(setresuid),
                           SCMP_SYS(setresgid),
                           SCMP_SYS(capset)};

constexpr std::array<int, 2> kFamilies{AF_INET, AF_INET6};
constexpr std::array<int, 2> kTypes{SOCK_STREAM, SOCK_DGRAM};
constexpr std::uint64_t kTypeMask = 0xf;  // beside it are SOCK_NONBLOCK and SOCK_CLOEXEC
constexpr std::uint64_t kLow32 = 0xffffffff;

Status check(int rc, const std::string& what) {
  if (rc == 0) return {};
  return fail(cofferdam::errno_error(cat("seccomp: ", what), -rc));
}

Status add_argument_rules(scmp_filter_ctx filter) {
  for (const int family : kFamilies) {
    for (const int type : kTypes) {
      const std::array<scmp_arg_cmp, 2> same{
          scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, kLow32, static_cast<std::uint64_t>(family)},
          scmp_arg_cmp{1, SCMP_CMP_MASKED_EQ, kTypeMask, static_cast<std::uint64_t>(type)}};
      TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2, same.data()), "socket"));
    }
  }
  const scmp_arg_cmp not_code{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0};
  TRY(check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_code), "mmap"));
  return check(seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_code), "mprotect");
}

Status write_filter(int out) {
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
  TRY(add_argument_rules(filter.get()));
  return check(seccomp_export_bpf(filter.get(), out), "export the filter");
}

}  // namespace

int main() {
  std::printf(
      "// Made by gate_filter from confine_policy.cpp.\n#pragma once\n#include <linux/filter.h>\n\n"
      "namespace cofferdam::gate {\n\n");
  const auto printed = cofferdam::jail::print_filter("kFilter", write_filter);
  if (!printed) std::fprintf(stderr, "%s\n", printed.error().message.c_str());
  std::printf("\n}  // namespace cofferdam::gate\n");
  return printed && std::fflush(stdout) == 0 ? 0 : 1;
}

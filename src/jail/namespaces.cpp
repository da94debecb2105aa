#include "jail/namespaces.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <string_view>

namespace cofferdam::jail {
namespace {

constexpr std::string_view kHostname = "cofferdam";

}  // namespace

Result<Child> fork_into_namespaces(int cgroup) {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) {
    return fail(errno_error("clone3 with new mount, PID, IPC, UTS and network namespaces", errno)
                    .with_hint("coffer-jail needs CAP_SYS_ADMIN and a kernel of 5.7 or later with these namespaces"));
  }
  Child child;
  child.pid = pid;
  if (pid > 0) child.pidfd = UniqueFd(pidfd);
  return child;
}

Status hide_cgroup_path() {
  if (::unshare(CLONE_NEWCGROUP) != 0) return fail_errno("unshare the cgroup namespace");
  return {};
}

Status set_hostname() {
  if (::sethostname(kHostname.data(), kHostname.size()) != 0) return fail_errno("set the jail's hostname");
  return {};
}

}  // namespace cofferdam::jail

// coffer-jail: one a VMM. Receives a plan on descriptor 3, cages and starts the VMM, and stays as its parent: keeps its
// TTL without any daemon, and leaves nothing when it ends.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdio>

#include "base/fd_passing.h"
#include "base/file.h"
#include "jail/rlimits.h"
#include "jail/supervisor.h"

namespace cofferdam::jail {
namespace {

constexpr timeval kPlanDeadline{10, 0};
constexpr std::string_view kSupervisorOomScore = "-900";

// SIGTERM is read from a descriptor; what a terminal sends is not for us.
Result<UniqueFd> prepare_signals() {
  for (const int signal : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU}) ::signal(signal, SIG_IGN);
  sigset_t handled;
  sigemptyset(&handled);
  sigaddset(&handled, SIGTERM);
  if (::sigprocmask(SIG_SETMASK, &handled, nullptr) != 0) return fail_errno("block SIGTERM");
  UniqueFd fd(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd");
  return fd;
}

// Nothing of the daemon's comes with us: no descriptor, no folder, no session.
Status prepare_process() {
  ::setsid();  // refused when the daemon has done so already
  if (::chdir("/") != 0) return fail_errno("enter '/'");
  ::umask(0022);
  if (::syscall(SYS_close_range, static_cast<unsigned>(kControlFd) + 1, ~0U, 0) != 0) return fail_errno("close_range");
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) return fail_errno("open '/dev/null'");
  }
  // A container may forbid the lower score; the VMM is still offered first.
  (void)write_control_file("/proc/self/oom_score_adj", kSupervisorOomScore);
  return raise_descriptor_limit();
}

struct Received {
  JailPlan plan;
  std::vector<UniqueFd> fds;
};

Result<Received> receive_plan(int control) {
  ::setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &kPlanDeadline, sizeof kPlanDeadline);
  TRY_ASSIGN(auto message, receive_with_fds(control, kMaxPlanBytes, kMaxPlanFds));
  if (message.bytes.empty()) return fail(Code::Unavailable, "the daemon closed the connection before it sent a plan");
  TRY_ASSIGN(JailPlan plan, decode_plan(message.bytes, message.fds.size()));
  return Received{std::move(plan), std::move(message.fds)};
}

int report_failure(int control, const char* stage, const Error& error) {
  const auto packet = encode(Event(SetupFailed{stage, error.code, error.message, error.hint}));
  if (::send(control, packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    std::fprintf(stderr, "coffer-jail: %s: %s\n", stage, error.message.c_str());
  }
  return 1;
}

int jail_main() {
  if (::geteuid() != 0) return report_failure(kControlFd, "process", {Code::PermissionDenied, "not root", {}});
  // First this: it closes every descriptor it does not know.
  if (auto prepared = prepare_process(); !prepared) return report_failure(kControlFd, "process", prepared.error());
  auto signals = prepare_signals();
  if (!signals) return report_failure(kControlFd, "process", signals.error());
  UniqueFd control(kControlFd);
  auto received = receive_plan(control.get());
  const auto started = std::chrono::steady_clock::now();
  if (!received) return report_failure(control.get(), "plan", received.error());
  return Supervisor(std::move(received->plan), std::move(received->fds), std::move(control), std::move(*signals),
                    started)
      .run();
}

}  // namespace
}  // namespace cofferdam::jail

int main() { return cofferdam::jail::jail_main(); }

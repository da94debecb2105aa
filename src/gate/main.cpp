// coffer-gate: started by cofferd with the control connection as descriptor 3; everything else comes over that.
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "base/log.h"
#include "base/text.h"
#include "gate/confine.h"
#include "gate/gate.h"

namespace cofferdam::gate {
namespace {

constexpr timeval kStartDeadline{10, 0};
constexpr int kSendBytes = 4 << 20;  // answers and records on their way to a daemon that is busy

// Nothing of the daemon's comes with us: no descriptor, no folder.
Status prepare_process() {
  for (const int signal : {SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  if (::chdir("/") != 0) return fail_errno("enter '/'");
  ::umask(0077);
  if (::syscall(SYS_close_range, static_cast<unsigned>(kControlFd) + 1, ~0U, 0) != 0) return fail_errno("close_range");
  ::fcntl(kControlFd, F_SETFD, FD_CLOEXEC);
  ::setsockopt(kControlFd, SOL_SOCKET, SO_RCVTIMEO, &kStartDeadline, sizeof kStartDeadline);
  ::setsockopt(kControlFd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBytes, sizeof kSendBytes);
  return {};
}

struct Started {
  std::uint64_t number = 0;
  Start start;
};

Result<Started> receive_start() {
  TRY_ASSIGN(const Received received, receive_with_fds(kControlFd, kMaxControlBytes, 0));
  TRY_ASSIGN(NumberedRequest request, decode_request(received.bytes));
  auto* start = std::get_if<Start>(&request.request);
  if (start == nullptr) return fail(Code::FailedPrecondition, "the first request must be Start");
  return Started{request.number, std::move(*start)};
}

Status answer(const Event& event) {
  const int flags = ::fcntl(kControlFd, F_GETFL);
  if (::fcntl(kControlFd, F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno("control connection");
  return send_with_fds(kControlFd, encode(event), {});
}

Status serve() {
  TRY(prepare_process());
  UniqueFd control(kControlFd);
  std::uint64_t number = 0;
  const auto give_up = [&number](Error error) {
    (void)answer(Failed{number, error.code, error.message});
    return fail(std::move(error));
  };
  auto started = receive_start();
  if (!started) return give_up(std::move(started.error()));
  number = started->number;
  auto loop = EventLoop::create();
  if (!loop) return give_up(std::move(loop.error()));
  auto resolver = Resolver::create(*loop);
  if (!resolver) return give_up(std::move(resolver.error()));
  if (auto set = (*resolver)->set_servers(started->start.settings.resolvers); !set)
    return give_up(std::move(set.error()));
  auto& start = started->start;
  const auto confined = confine(start.uid, start.gid, start.max_flows);
  if (!confined) return give_up(confined.error());
  if (*confined < start.max_flows) log_warn("the host allows fewer descriptors", {{"flows", cat(*confined)}});
  start.max_flows = *confined;
  TRY(answer(Done{number, 0}));
  return Gate(*loop, **resolver, std::move(control), start).run();
}

}  // namespace
}  // namespace cofferdam::gate

int main() {
  const auto served = cofferdam::gate::serve();
  if (served) return 0;
  cofferdam::log_error("coffer-gate ends", {{"why", served.error().message}});
  return 1;
}

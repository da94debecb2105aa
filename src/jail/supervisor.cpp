#include "jail/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/text.h"
#include "jail/contain.h"
#include "jail/namespaces.h"

namespace cofferdam::jail {
namespace {

constexpr std::size_t kTailBytes = 16U << 10;
constexpr int kSetupDeadlineMs = 10000;
constexpr std::chrono::milliseconds kRemovalPatience{2000};

struct OutputPipe {
  UniqueFd ours;
  UniqueFd theirs;
};

// Our end never blocks us; theirs blocks the VMM only while 64 KiB wait to be read, and we always read.
Result<OutputPipe> make_output_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe for the VMM's output");
  OutputPipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(pipe.ours.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("make the output pipe non-blocking");
  return pipe;
}

bool is_readable(const pollfd& entry) { return (entry.revents & (POLLIN | POLLHUP | POLLERR)) != 0; }

}  // namespace

Supervisor::Supervisor(JailPlan plan, std::vector<UniqueFd> received, UniqueFd control, UniqueFd signals,
                       std::chrono::steady_clock::time_point started)
    : plan_(std::move(plan)),
      received_(std::move(received)),
      control_(std::move(control)),
      signals_(std::move(signals)),
      started_(started),
      tail_(kTailBytes) {}

int Supervisor::run() {
  if (auto running = start_vmm(); !running) {
    if (pidfd_) {
      end_vmm(ExitReason::killed);
      reap();
    }
    read_output();
    auto& [stage, error] = running.error();
    SetupFailed failed{stage, error.code, std::move(error.message), std::move(error.hint)};
    if (auto left = clean_up(); !left.empty()) failed.message += "; left behind: " + left;
    send(failed);
    return 1;
  }
  watch();
  reap();
  exited_.leftovers = clean_up();
  send(exited_);
  return 0;
}

tl::expected<void, Supervisor::Failure> Supervisor::start_vmm() {
  auto failed = [](std::string stage, Error error) {
    return tl::unexpected<Failure>(Failure{std::move(stage), std::move(error)});
  };
  const auto layout = detect_cgroups();
  if (!layout) return failed("cgroup", layout.error());
  if (auto left = leave_service_cgroup(*layout, plan_.cgroup.parent); !left) return failed("cgroup", left.error());
  auto cgroup = Cgroup::create(*layout, plan_.cgroup, plan_.id);
  if (!cgroup) return failed("cgroup", cgroup.error());
  cgroup_ = std::move(*cgroup);

  timer_ = UniqueFd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer_) return failed("ttl", errno_error("timerfd_create", errno));
  if (auto set = set_ttl(plan_.ttl_ms); !set) return failed("ttl", set.error());

  auto pipe = make_output_pipe();
  if (!pipe) return failed("descriptors", pipe.error());
  auto null = open_file("/dev/null", O_RDONLY);
  if (!null) return failed("descriptors", null.error());
  auto report = socket_pair(SOCK_SEQPACKET);
  if (!report) return failed("descriptors", report.error());

  auto child = fork_into_namespaces(cgroup_->clone_target());
  if (!child) return failed("namespaces", child.error());
  if (child->pid == 0) {
    report->first.reset();
    contain_and_exec(
        {plan_, *cgroup_, received_, std::move(*null), std::move(pipe->theirs), std::move(report->second)});
  }
  pid_ = child->pid;
  pidfd_ = std::move(child->pidfd);
  output_ = std::move(pipe->ours);
  report->second.reset();
  pipe->theirs.reset();
  if (plan_.listener) {
    listener_ = std::move(received_.at(*plan_.listener));
    ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
  }
  received_.clear();
  return await_ready(report->first);
}

// Two things must be heard: "ready" and then the end of the report, which exec closes.
tl::expected<void, Supervisor::Failure> Supervisor::await_ready(const UniqueFd& report) {
  auto failed = [](std::string stage, Error error) {
    return tl::unexpected<Failure>(Failure{std::move(stage), std::move(error)});
  };
  Started started;
  for (;;) {
    pollfd entry{report.get(), POLLIN, 0};
    const int n = ::poll(&entry, 1, kSetupDeadlineMs);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("setup", Error{Code::DeadlineExceeded, "the set-up of the VMM did not end in 10 s", {}});
    const auto packet = receive_with_fds(report.get(), kMaxControlBytes, 0);
    if (!packet) return failed("setup", packet.error());
    if (packet->bytes.empty()) break;
    if (packet->bytes == kReady) {
      const auto taken = std::chrono::steady_clock::now() - started_;
      started.setup_us =
          static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(taken).count());
      started.vmm_pid = pid_;
      continue;
    }
    const auto event = decode_event(packet->bytes);
    const auto* failure = event ? std::get_if<SetupFailed>(&*event) : nullptr;
    if (failure == nullptr) return failed("setup", Error{Code::Internal, "the VMM's set-up said nonsense", {}});
    return failed(failure->stage, Error{failure->code, failure->message, failure->hint});
  }
  if (started.vmm_pid == 0) return failed("setup", Error{Code::Internal, "the VMM's set-up ended without a word", {}});
  send(started);
  return {};
}

Status Supervisor::set_ttl(std::uint64_t ms) {
  itimerspec spec{};
  spec.it_value.tv_sec = static_cast<time_t>(ms / 1000);
  spec.it_value.tv_nsec = static_cast<long>(ms % 1000 * 1000000);
  if (::timerfd_settime(timer_.get(), 0, &spec, nullptr) != 0) return fail_errno("set the TTL");
  return {};
}

std::uint64_t Supervisor::ttl_left_ms() const {
  itimerspec spec{};
  if (::timerfd_gettime(timer_.get(), &spec) != 0) return 0;
  return static_cast<std::uint64_t>(spec.it_value.tv_sec) * 1000 +
         (static_cast<std::uint64_t>(spec.it_value.tv_nsec) + 999999) / 1000000;
}

// Until the VMM has ended. A negative descriptor is one that poll(2) passes over.
void Supervisor::watch() {
  for (;;) {
    enum : std::size_t { vmm, timer, control, listener, output, signals, count };
    std::array<pollfd, count> entries{};
    entries[vmm] = {pidfd_.get(), POLLIN, 0};
    entries[timer] = {timer_.get(), POLLIN, 0};
    entries[control] = {control_.get(), POLLIN, 0};
    entries[listener] = {listener_.get(), POLLIN, 0};
    entries[output] = {output_.get(), POLLIN, 0};
    entries[signals] = {signals_.get(), POLLIN, 0};
    if (::poll(entries.data(), entries.size(), -1) < 0) {
      if (errno == EINTR) continue;
      end_vmm(ExitReason::killed);
      return;
    }
    if (is_readable(entries[output])) read_output();
    if (is_readable(entries[vmm])) return;
    if (is_readable(entries[timer])) {
      std::uint64_t expirations = 0;
      if (::read(timer_.get(), &expirations, sizeof expirations) == sizeof expirations) end_vmm(ExitReason::ttl);
    }
    if (is_readable(entries[signals])) {
      signals_.reset();  // one is enough
      end_vmm(ExitReason::killed);
    }
    // Before the old connection's end is looked at: a newer controller is no loss of the lease.
    if (is_readable(entries[listener])) accept_controller();
    if (is_readable(entries[control]) && control_.get() == entries[control].fd) read_control();
  }
}

void Supervisor::accept_controller() {
  UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (connection) {
    control_ = std::move(connection);
  } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
    listener_.reset();  // broken for good; polling it again would spin
  }
}

void Supervisor::read_control() {
  std::array<char, kMaxControlBytes> buffer{};
  const ssize_t n = ::recv(control_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0 || static_cast<std::size_t>(n) > buffer.size()) return lose_controller();
  const auto request = decode_request({buffer.data(), static_cast<std::size_t>(n)});
  if (!request) return lose_controller();  // of another version, or no daemon of ours
  handle(*request);
}

void Supervisor::handle(const Request& request) {
  if (const auto* ttl = std::get_if<SetTtl>(&request)) {
    if (auto set = set_ttl(ttl->ms); !set) end_vmm(ExitReason::ttl);  // a life without an end is worse
  } else if (const auto* lease = std::get_if<SetLease>(&request)) {
    plan_.lease = lease->lease;
  } else if (std::holds_alternative<Kill>(request)) {
    end_vmm(ExitReason::killed);
  } else if (std::holds_alternative<QueryStatus>(request)) {
    send(StatusReply{pid_, ttl_left_ms(), plan_.lease});
  } else if (const auto* limits = std::get_if<SetLimits>(&request)) {
    const auto set = cgroup_->set_limits(limits->memory_max_bytes, limits->cpu_max_millicores, limits->cpu_weight);
    send(LimitsSet{set ? std::string() : set.error().message});
  }
}

// A daemon that does not read is a daemon that is gone: nothing waits for it.
void Supervisor::send(const Event& event) {
  if (!control_) return;
  const auto packet = encode(event);
  if (::send(control_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) lose_controller();
}

void Supervisor::lose_controller() {
  control_.reset();
  if (plan_.lease == Lease::kill_on_loss) end_vmm(ExitReason::lease_lost);
}

void Supervisor::read_output() {
  std::array<char, 16384> buffer{};
  // At most one pipe's content a turn, so that a VMM that floods cannot keep us from the rest.
  for (int turn = 0; output_ && turn < 4; ++turn) {
    const ssize_t n = ::read(output_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return output_.reset();
    tail_.append({buffer.data(), static_cast<std::size_t>(n)});
  }
}

void Supervisor::end_vmm(ExitReason reason) {
  if (!reason_) reason_ = reason;
  if (pidfd_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

void Supervisor::reap() {
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) {
    if (errno != EINTR) break;
  }
  pidfd_.reset();
  read_output();
  exited_.status = info.si_code == CLD_EXITED ? info.si_status : 0;
  exited_.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  const bool out_of_memory = !reason_ && exited_.signal == SIGKILL && cgroup_->oom_kills() > 0;
  exited_.reason = reason_.value_or(out_of_memory ? ExitReason::oom : ExitReason::vmm_exit);
  exited_.output_tail = tail_.text();
}

std::string Supervisor::clean_up() const {
  std::string left;
  auto note = [&left](const Status& status) {
    if (!status) left += (left.empty() ? "" : "; ") + status.error().message;
  };
  if (cgroup_) note(cgroup_->remove(kRemovalPatience));
  for (const auto& path : plan_.cleanup_paths) note(remove_tree(path));
  return left;
}

}  // namespace cofferdam::jail

#include "base/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/text.h"

extern char** environ;

namespace cofferdam {
namespace {

std::string find_in_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = ::getenv("PATH");
  for (const auto& folder : split(path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin", ':')) {
    auto candidate = cat(folder, "/", name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return name;
}

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

// Runs in the child between fork and exec: only async-signal-safe calls, no allocation.
[[noreturn]] void exec_child(const char* path, char* const* argv, char* const* envp, const std::pair<int, int>* fds,
                             int* moved, std::size_t count, bool new_session, int report) {
  auto give_up = [report] {
    const int err = errno;
    [[maybe_unused]] const auto n = ::write(report, &err, sizeof err);
    ::_exit(127);
  };
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (new_session) ::setsid();
  // First everything out of the way of the target numbers, then into place.
  int highest = 2;
  for (std::size_t i = 0; i < count; ++i) highest = std::max(highest, fds[i].second);
  for (std::size_t i = 0; i < count; ++i) {
    moved[i] = ::fcntl(fds[i].first, F_DUPFD_CLOEXEC, highest + 2);
    if (moved[i] < 0) give_up();
  }
  const int kept_report = ::fcntl(report, F_DUPFD_CLOEXEC, highest + 2);
  if (kept_report < 0) give_up();
  report = kept_report;
  for (std::size_t i = 0; i < count; ++i) {
    if (::dup2(moved[i], fds[i].second) < 0) give_up();
  }
  // Close-on-exec for all that is not in the map.
  for (int fd = 0; fd <= highest; ++fd) {
    const bool wanted = std::any_of(fds, fds + count, [fd](const auto& pair) { return pair.second == fd; });
    if (!wanted) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  ::syscall(SYS_close_range, static_cast<unsigned>(highest) + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(path, argv, envp);
  give_up();
  __builtin_unreachable();
}

int shell_status(const siginfo_t& info) { return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status; }

}  // namespace

Result<Process> Process::spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return fail(Code::InvalidArgument, "spawn: no program named");
  const std::string path = find_in_path(options.argv[0]);
  auto argv = pointers(options.argv);
  auto envp = pointers(options.env);
  std::vector<int> moved(options.fds.size());
  std::array<int, 2> report{};
  if (::pipe2(report.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  UniqueFd report_in(report[0]);
  UniqueFd report_out(report[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid == 0) {
    exec_child(path.c_str(), argv.data(), envp.data(), options.fds.data(), moved.data(), options.fds.size(),
               options.new_session, report_out.get());
  }
  UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  Process process(pid, std::move(pidfd));
  report_out.reset();
  int child_errno = 0;
  ssize_t n = 0;
  do {
    n = ::read(report_in.get(), &child_errno, sizeof child_errno);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof child_errno) {
    (void)process.wait();
    return fail(errno_error(cat("start '", options.argv[0], "'"), child_errno));
  }
  if (process.pidfd() < 0) return fail_errno("pidfd_open");
  return process;
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    this->~Process();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
  }
  return *this;
}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  (void)wait();
}

void Process::kill(int signal) const {
  if (pid_ > 0) ::kill(pid_, signal);
}

Result<int> Process::wait() {
  if (pid_ < 0) return fail(Code::FailedPrecondition, "wait: the process was already waited for");
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0) {
    if (errno != EINTR) return fail_errno("wait for a child");
  }
  pid_ = -1;
  return shell_status(info);
}

pid_t Process::release() { return std::exchange(pid_, -1); }

std::vector<std::string> current_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

Result<Finished> run(const RunOptions& options) {
  std::array<std::array<int, 2>, 3> pipes{};
  std::array<UniqueFd, 3> ours;
  std::array<UniqueFd, 3> theirs;
  for (std::size_t i = 0; i < 3; ++i) {
    if (::pipe2(pipes[i].data(), O_CLOEXEC) != 0) return fail_errno("pipe");
    ours[i] = UniqueFd(pipes[i][i == 0 ? 1 : 0]);
    theirs[i] = UniqueFd(pipes[i][i == 0 ? 0 : 1]);
    ::fcntl(ours[i].get(), F_SETFL, O_NONBLOCK);
  }
  SpawnOptions spawn;
  spawn.argv = options.argv;
  spawn.env = current_environment();
  spawn.env.insert(spawn.env.end(), options.extra_env.begin(), options.extra_env.end());
  for (int i = 0; i < 3; ++i) spawn.fds.emplace_back(theirs[static_cast<std::size_t>(i)].get(), i);
  TRY_ASSIGN(Process child, Process::spawn(spawn));
  for (auto& fd : theirs) fd.reset();

  Finished finished;
  std::array<std::string, 3> partial;
  std::string_view input = options.input;
  const auto deadline = std::chrono::steady_clock::now() + options.timeout;
  auto name = options.argv[0];
  while (ours[0] || ours[1] || ours[2]) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0)
      return fail(Code::DeadlineExceeded, cat("'", name, "' did not end in ", options.timeout.count(), " ms"));
    if (ours[0] && input.empty()) {
      ours[0].reset();
      continue;
    }
    std::array<pollfd, 3> polls{{{ours[0].get(), POLLOUT, 0}, {ours[1].get(), POLLIN, 0}, {ours[2].get(), POLLIN, 0}}};
    if (::poll(polls.data(), polls.size(), static_cast<int>(std::min<long>(left, 1000))) < 0 && errno != EINTR) {
      return fail_errno("poll");
    }
    if ((polls[0].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) {
      const ssize_t n = ::write(ours[0].get(), input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      if (n < 0 && errno != EAGAIN && errno != EINTR) input = {};
    }
    for (std::size_t i = 1; i < 3; ++i) {
      if ((polls[i].revents & (POLLIN | POLLERR | POLLHUP)) == 0) continue;
      char buffer[16384];
      const ssize_t n = ::read(ours[i].get(), buffer, sizeof buffer);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n <= 0) {
        ours[i].reset();
        continue;
      }
      const std::string_view chunk(buffer, static_cast<std::size_t>(n));
      auto& out = i == 1 ? finished.out : finished.err;
      if (out.size() + chunk.size() > options.max_output) {
        return fail(Code::ResourceExhausted, cat("'", name, "' printed more than ", options.max_output, " bytes"));
      }
      out.append(chunk);
      if (!options.on_line) continue;
      partial[i].append(chunk);
      for (auto end = partial[i].find('\n'); end != std::string::npos; end = partial[i].find('\n')) {
        options.on_line(std::string_view(partial[i]).substr(0, end));
        partial[i].erase(0, end + 1);
      }
    }
  }
  TRY_ASSIGN(finished.status, child.wait());
  return finished;
}

Result<std::string> run_checked(const RunOptions& options) {
  TRY_ASSIGN(Finished finished, run(options));
  if (finished.status != 0) {
    auto tail = std::string(trim(finished.err));
    constexpr std::size_t kTail = 600;
    if (tail.size() > kTail) tail = "…" + tail.substr(tail.size() - kTail);
    return fail(Code::Internal, cat("'", options.argv[0], "' ended with status ", finished.status, ": ", tail));
  }
  return std::move(finished.out);
}

}  // namespace cofferdam

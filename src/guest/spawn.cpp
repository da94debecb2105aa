#include "guest/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr rlim_t kDefaultOpenFiles = 1024;
constexpr rlim_t kMaxOpenFiles = 1U << 20;

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

// What execvp(3) would try, from the program's own PATH.
std::vector<std::string> candidates(const SpawnPlan& plan) {
  const std::string& name = plan.argv.front();
  if (name.find('/') != std::string::npos) return {name};
  std::vector<std::string> out;
  for (const auto& variable : plan.env) {
    if (!starts_with(variable, "PATH=")) continue;
    for (const auto& folder : split(std::string_view(variable).substr(5), ':')) {
      auto path = cat(folder.empty() ? "." : folder, "/", name);
      // An exec that fails has done most of its work by then. What is relative, the child's folder decides.
      struct stat there{};
      if (path.front() == '/' && ::stat(path.c_str(), &there) != 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
      out.push_back(std::move(path));
    }
  }
  return out;
}

// Everything the child needs, made ready before the clone: after it only async-signal-safe calls, no allocation.
struct Prepared {
  const SpawnPlan& plan;
  std::vector<std::string> paths;
  std::vector<char*> argv;
  std::vector<char*> script_argv;  // /bin/sh <path> <args…>, for a file without a known format
  std::vector<char*> env;
  int report;
};

[[noreturn]] void give_up(const Prepared& child, SpawnReport::Step step, int error_number) {
  const SpawnReport report{step, error_number};
  [[maybe_unused]] const auto n = ::write(child.report, &report, sizeof report);
  ::_exit(127);
}

void set_limit(const Prepared& child, __rlimit_resource_t resource, const std::optional<std::uint64_t>& value) {
  if (!value) return;
  const rlimit limit{*value, *value};
  if (::setrlimit(resource, &limit) != 0) give_up(child, SpawnReport::Step::limits, errno);
}

void set_limits(const Prepared& child) {
  const auto& limits = child.plan.limits;
  if (child.plan.change_user && !limits.open_files) {
    const rlimit files{kDefaultOpenFiles, kMaxOpenFiles};
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  const rlimit no_core{0, RLIM_INFINITY};
  ::setrlimit(RLIMIT_CORE, &no_core);
  set_limit(child, RLIMIT_NOFILE, limits.open_files);
  set_limit(child, RLIMIT_NPROC, limits.processes);
  set_limit(child, RLIMIT_AS, limits.address_space_bytes);
  set_limit(child, RLIMIT_FSIZE, limits.file_size_bytes);
}

// By the system call: the C library keeps 32 and 33 for itself and leaves them as they were inherited.
void reset_signals() {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)();
    std::uint64_t mask;
  } const action{SIG_DFL, 0, nullptr, 0};
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, &action, nullptr, sizeof action.mask);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void become_user(const Prepared& child) {
  const User& user = child.plan.user;
  // That is who we are.
  const bool root = user.uid == 0 && user.gid == 0 && (user.groups.empty() || user.groups == std::vector<gid_t>{0});
  if (root) return;
  if (::setgroups(user.groups.size(), user.groups.data()) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0) {
    give_up(child, SpawnReport::Step::user, errno);
  }
}

void place_descriptors(const Prepared& child) {
  // The plan's descriptors are all above 2: PID 1 keeps 0 to 2 open.
  if (::dup2(child.plan.stdin_fd, 0) < 0 || ::dup2(child.plan.stdout_fd, 1) < 0 ||
      ::dup2(child.plan.stderr_fd, 2) < 0) {
    give_up(child, SpawnReport::Step::other, errno);
  }
  if (child.plan.terminal && ::ioctl(0, TIOCSCTTY, 0) != 0) give_up(child, SpawnReport::Step::other, errno);
  // The report's descriptor among them: its end of file then means that exec has happened.
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

[[noreturn]] void exec_program(Prepared& child) {
  int remembered = ENOENT;
  for (const auto& path : child.paths) {
    ::execve(path.c_str(), child.argv.data(), child.env.data());
    if (errno == ENOEXEC) {
      child.script_argv[1] = const_cast<char*>(path.c_str());
      ::execve(child.script_argv[0], child.script_argv.data(), child.env.data());
      errno = ENOEXEC;
    }
    if (errno == ENOENT || errno == ENOTDIR) continue;
    remembered = errno;
    if (errno != EACCES) break;
  }
  give_up(child, SpawnReport::Step::exec, remembered);
}

[[noreturn]] void run_child(Prepared& child) {
  ::setsid();
  reset_signals();
  place_descriptors(child);
  ::umask(022);
  set_limits(child);
  if (child.plan.change_user) become_user(child);
  if (::chdir(child.plan.cwd.c_str()) != 0) give_up(child, SpawnReport::Step::folder, errno);
  exec_program(child);
}

[[noreturn]] void child_main(void* child) { run_child(*static_cast<Prepared*>(child)); }

// clone3(2) into the cgroup, so that not even the first instruction is unaccounted for.
clone_args clone_into(int cgroup_fd) {
  clone_args args{};
  args.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags = CLONE_INTO_CGROUP;
    args.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  return args;
}

pid_t fork_child(Prepared& child) {
  clone_args args = clone_into(child.plan.cgroup_fd);
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
  if (pid == 0) child_main(&child);
  return pid;
}

// As vfork(2), on a stack of its own: the C library has no form of it that takes a cgroup.
pid_t vfork_child(Prepared& child) {
  alignas(16) static std::array<char, 64U << 10> stack;
  clone_args args = clone_into(child.plan.cgroup_fd);
  args.flags |= CLONE_VM | CLONE_VFORK;
  args.stack = reinterpret_cast<std::uint64_t>(stack.data());
  args.stack_size = stack.size();
  register void (*entry)(void*) asm("r12") = &child_main;
  register void* argument asm("r13") = &child;
  long result = SYS_clone3;
  // The child has all registers but the stack pointer; it calls child_main and does not come back.
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&args), "S"(sizeof args), "r"(entry), "r"(argument)
      : "rcx", "r11", "memory");
  if (result >= 0) return static_cast<pid_t>(result);
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

Result<Spawned> spawn(const SpawnPlan& plan) {
  std::array<int, 2> report{};
  if (::pipe2(report.data(), O_CLOEXEC | O_NONBLOCK) != 0) return fail_errno("make a pipe");
  UniqueFd report_in(report[0]);
  const UniqueFd report_out(report[1]);

  Prepared child{plan, candidates(plan), pointers(plan.argv), {}, pointers(plan.env), report_out.get()};
  static char shell[] = "/bin/sh";
  child.script_argv = {shell, nullptr};
  child.script_argv.insert(child.script_argv.end(), child.argv.begin() + 1, child.argv.end());

  const pid_t pid = plan.share_memory ? vfork_child(child) : fork_child(child);
  if (pid < 0) {
    const int error_number = errno;
    auto error = errno_error("start a process", error_number);
    if (error_number == EAGAIN) {
      error.code = Code::ResourceExhausted;
      error.hint = "the guest has as many processes as it may have; end some";
    }
    return fail(std::move(error));
  }
  return Spawned{pid, std::move(report_in)};
}

wire::ProcessStarted describe_failure(const SpawnPlan& plan, const SpawnReport& report) {
  wire::ProcessStarted answer;
  answer.error_number = report.error_number;
  const std::string why = std::strerror(report.error_number);
  switch (report.step) {
    case SpawnReport::Step::exec:
      answer.failure = report.error_number == ENOENT || report.error_number == ENOTDIR
                           ? wire::StartFailure::NotFound
                           : wire::StartFailure::NotExecutable;
      answer.message = answer.failure == wire::StartFailure::NotFound
                           ? cat(plan.argv.front(), ": command not found")
                           : cat(plan.argv.front(), ": cannot be executed: ", why);
      break;
    case SpawnReport::Step::folder:
      answer.failure = wire::StartFailure::NoSuchFolder;
      answer.message = cat("working folder '", plan.cwd, "': ", why);
      break;
    case SpawnReport::Step::user:
      answer.failure = wire::StartFailure::Other;
      answer.message = cat("become user '", plan.user.name, "': ", why);
      break;
    case SpawnReport::Step::limits:
      answer.failure = wire::StartFailure::Other;
      answer.message = cat("set the process's limits: ", why);
      break;
    case SpawnReport::Step::other:
      answer.failure = wire::StartFailure::Other;
      answer.message = cat("set up the process: ", why);
      break;
  }
  // A long argument must not make the answer one that the host refuses.
  answer.message.resize(std::min(answer.message.size(), wire::kMaxText));
  return answer;
}

}  // namespace cofferdam::guest

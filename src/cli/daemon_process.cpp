#include "cli/daemon_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {
namespace {

constexpr off_t kMaxLog = 10 << 20;
constexpr std::size_t kTailBytes = 16U << 10;
constexpr auto kPoll = std::chrono::milliseconds(20);

bool ended(const Process& process) {
  pollfd poll{process.pidfd(), POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

}  // namespace

Result<std::string> find_daemon(const Settings& settings) {
  std::string beside = cat(settings.program_dir, "/cofferd");
  if (::access(beside.c_str(), X_OK) == 0) return beside;
  const char* path = ::getenv("PATH");
  for (const auto& folder : split(path != nullptr ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", ':')) {
    std::string candidate = cat(folder, "/cofferd");
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return fail(Code::NotFound, cat("there is no program cofferd in '", settings.program_dir, "' or in PATH"),
              "install it, or build it with: make build");
}

std::string daemon_log_path(const Settings& settings) { return cat(settings.state_dir, "/cofferd.log"); }

Result<UniqueFd> open_daemon_log(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) == 0 && st.st_size > kMaxLog) ::rename(path.c_str(), cat(path, ".1").c_str());
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  if (::fchmod(fd.get(), 0600) != 0) return fail_errno(cat("set the mode of '", path, "'"));
  return fd;
}

std::string log_tail(const std::string& path, std::uint64_t from, std::size_t lines) {
  const auto fd = open_file(path, O_RDONLY);
  struct stat st{};
  if (!fd || ::fstat(fd->get(), &st) != 0) return "";
  const auto size = static_cast<std::uint64_t>(st.st_size);
  const std::uint64_t start = std::max(from, size > kTailBytes ? size - kTailBytes : 0);
  if (::lseek(fd->get(), static_cast<off_t>(start), SEEK_SET) < 0) return "";
  const auto content = read_fd(fd->get(), kTailBytes * 2);
  if (!content) return "";
  std::string_view text = trim(*content);
  std::size_t at = text.size();
  for (std::size_t i = 0; i < lines && at != std::string_view::npos && at > 0; ++i) at = text.rfind('\n', at - 1);
  if (at != std::string_view::npos && at < text.size() && text[at] == '\n') text.remove_prefix(at + 1);
  return printable_lines(text);
}

Result<Process> start_daemon(const Settings& settings, const std::string& program, int log) {
  TRY_ASSIGN(const UniqueFd nothing, open_file("/dev/null", O_RDONLY));
  SpawnOptions options;
  options.argv = {program, "--state", settings.state_dir, "--run", settings.run_dir};
  if (!settings.listen.empty()) options.argv.insert(options.argv.end(), {"--listen", settings.listen});
  for (auto& item : current_environment()) {
    if (!starts_with(item, "COFFER_TOKEN=")) options.env.push_back(std::move(item));
  }
  options.fds = {{nothing.get(), STDIN_FILENO}, {log, STDOUT_FILENO}, {log, STDERR_FILENO}};
  options.new_session = true;
  return Process::spawn(options);
}

Task<boost::json::object> wait_until_answering(Session& session, Process& daemon, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    // A client that failed to connect keeps nothing, so a fresh one costs nothing either.
    Api api(session);
    auto host = co_await api.get("/host");
    if (host) co_return std::move(*host);
    if (ended(daemon)) {
      const auto status = daemon.wait();
      co_return fail(Code::FailedPrecondition,
                     cat("cofferd (state ", session.settings().state_dir, ", run-time folder ",
                         session.settings().run_dir, ") ended with status ", status ? *status : -1, " while starting"));
    }
    if (std::chrono::steady_clock::now() >= deadline) {
      co_return fail(Code::DeadlineExceeded,
                     cat("cofferd did not answer within ", limit.count(), " s: ", host.error().message));
    }
    CO_TRY(co_await loop::sleep_for(kPoll));
  }
}

UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

bool wait_until_gone(int pidfd, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd poll{pidfd, POLLIN, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace cofferdam::cli

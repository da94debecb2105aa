#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/daemon_process.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(60);

std::uint64_t size_of(int fd) {
  struct stat st{};
  return ::fstat(fd, &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

class Up : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "up"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Start the daemon in the background and wait until it answers";
  }
  void declare(Options& /*options*/) override {}
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  static Task<int> work(Session& session) {
    Api api(session);
    auto running = co_await api.get("/host");
    if (running) co_return told(session, *running, "cofferd is already running");
    if (running.error().code != Code::Unavailable) co_return session.failed(running.error());
    auto started = co_await start(session);
    if (!started) co_return session.failed(started.error());
    co_return told(session, *started, "cofferd is running");
  }

  static Task<boost::json::object> start(Session& session) {
    const auto& settings = session.settings();
    if (::geteuid() != 0) {
      co_return fail(Code::PermissionDenied, "cofferd must be started by root", cat("sudo ", settings.how_to_start));
    }
    CO_TRY_ASSIGN(const std::string program, find_daemon(settings));
    CO_TRY(make_directories(settings.state_dir, 0700));
    const auto log_path = daemon_log_path(settings);
    CO_TRY_ASSIGN(const UniqueFd log, open_daemon_log(log_path));
    const std::uint64_t before = size_of(log.get());
    CO_TRY_ASSIGN(Process daemon, start_daemon(settings, program, log.get()));
    auto host = co_await wait_until_answering(session, daemon, kStartLimit);
    if (!host) {
      Error error = std::move(host.error());
      const auto tail = log_tail(log_path, before);
      error.hint = tail.empty() ? cat("its log is empty: ", log_path) : cat("the end of ", log_path, ":\n", tail);
      co_return fail(std::move(error));
    }
    daemon.release();
    co_return std::move(*host);
  }

  static int told(Session& session, const boost::json::object& host, std::string_view how) {
    if (session.json()) {
      session.print_json(host);
      return kDone;
    }
    const auto& accelerator = object_field(host, "accelerator");
    const auto line = [&](std::string_view what, const std::string& value) {
      if (!value.empty()) session.print(cat("  ", what, printable(value), "\n"));
    };
    session.print(
        cat(how, " (process ", whole_field(host, "pid"), ", version ", printable(text_field(host, "version")), ")\n"));
    line("socket       ", text_field(host, "socket"));
    line("address      ", text_field(host, "listen"));
    line("state        ", text_field(host, "state_dir"));
    const auto reason = text_field(accelerator, "reason");
    line("accelerator  ", reason.empty() ? text_field(accelerator, "name") : reason);
    return kDone;
  }
};

class Down : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "down"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Stop the daemon and everything it runs that is not permanent";
  }
  void declare(Options& options) override {
    options.flag("--all", all_, "stop permanent workspaces too; their disks stay");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    auto host = co_await api.get("/host");
    if (!host && host.error().code == Code::Unavailable) {
      if (session.json()) session.print_json({{"running", false}});
      session.note("no daemon is running");
      co_return kDone;
    }
    if (!host) co_return session.failed(host.error());
    const UniqueFd pidfd = open_pidfd(static_cast<pid_t>(whole_field(*host, "pid")));
    auto answer = co_await api.call("POST", "/shutdown", {{"keep_permanent", !all_}});
    // A daemon that went while it was answering is what was asked for.
    if (!answer && answer.error().code != Code::Unavailable) co_return session.failed(answer.error());
    constexpr auto kStopLimit = std::chrono::seconds(60);
    if (pidfd && !wait_until_gone(pidfd.get(), kStopLimit)) {
      co_return session.failed(
          Error{Code::DeadlineExceeded,
                cat("cofferd (process ", whole_field(*host, "pid"), ") still runs after ", kStopLimit.count(), " s"),
                cat("look at ", daemon_log_path(session.settings()))});
    }
    if (session.json()) {
      session.print_json({{"running", false}, {"pid", whole_field(*host, "pid")}});
    } else {
      session.print("cofferd has stopped\n");
    }
    co_return kDone;
  }
  bool all_ = false;
};

}  // namespace

CommandPtr make_up() { return std::make_unique<Up>(); }
CommandPtr make_down() { return std::make_unique<Down>(); }

}  // namespace cofferdam::cli

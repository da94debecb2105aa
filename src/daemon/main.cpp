// cofferd: the daemon of Cofferdam.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "base/secure_bytes.h"
#include "base/text.h"
#include "daemon/backups.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "net/probe.h"
#include "vm/accelerator.h"

namespace cofferdam::daemon {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

int report(const Error& error, int status) {
  std::string text = cat("cofferd: ", error.message, "\n");
  if (!error.hint.empty()) text += cat("hint: ", error.hint, "\n");
  std::fputs(text.c_str(), stderr);
  return status;
}

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

int probe() {
  auto choice = vm::probe_accelerator(vm::Wanted::automatic);
  if (!choice) return report(choice.error(), kFailed);
  const boost::json::object answer{{"name", choice->kind == vm::Accelerator::kvm ? "kvm" : "tcg"},
                                   {"reason", choice->reason},
                                   {"speed_ratio", choice->speed_ratio}};
  std::puts(boost::json::serialize(answer).c_str());
  return 0;
}

boost::json::object finding(const Status& status) {
  if (status) return {{"ok", true}};
  return {{"ok", false}, {"text", status.error().message}, {"hint", status.error().hint}};
}

int probe_network(const Config& config) {
  const auto found = net::probe_network(config.gate_binary, config.gate_uid());
  const boost::json::object answer{
      {"wire", finding(found.wire)}, {"rules", finding(found.rules)}, {"gate", finding(found.gate)}};
  std::puts(boost::json::serialize(answer).c_str());
  return 0;
}

// Guests' data passes through this process: it must not end up in a core file or under a debugger.
Status close_to_others() {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return fail_errno("switch core dumps off");
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("refuse to be traced");
  return {};
}

// Several descriptors for each machine and client.
Status raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("read the limit of descriptors");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return fail_errno("raise the limit of descriptors");
  return {};
}

// A handler instead of SIG_IGN: programs started from here get the default back.
void survive(int signal_number) {
  struct sigaction action{};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  ::sigaction(signal_number, &action, nullptr);
}

Status prepare_process() {
  TRY(close_to_others());
  TRY(prepare_locked_memory());
  TRY(raise_descriptor_limit());
  survive(SIGPIPE);
  survive(SIGHUP);
  ::umask(022);  // what image builds count on
  // Guests are to be killed for want of memory before the one who cleans up after them; their jail sets its own score.
  (void)write_control_file("/proc/self/oom_score_adj", "-900");
  return {};
}

int serve(Config config) {
  if (::geteuid() != 0) {
    return report({Code::PermissionDenied, "cofferd must be started by root: it sets the cage of each virtual machine",
                   "sudo cofferd, or: sudo coffer up"},
                  kFailed);
  }
  set_log_level(config.log_level);
  if (auto prepared = prepare_process(); !prepared) return report(prepared.error(), kFailed);
  auto daemon = Daemon::build(std::move(config), COFFER_VERSION);
  if (!daemon) return report(daemon.error(), kFailed);
  const auto served = (*daemon)->run();
  return served ? 0 : report(served.error(), kFailed);
}

// For the program that asked: `coffer restore` reads it.
int report_json(const Error& error) {
  const boost::json::object answer{
      {"code", code_info(error.code).wire_name}, {"message", error.message}, {"hint", error.hint}};
  std::puts(boost::json::serialize(answer).c_str());
  return kFailed;
}

int restore(const Invocation& invocation) {
  if (::geteuid() != 0) {
    return report_json(
        {Code::PermissionDenied, "a state folder must be restored by root, whose it is", "sudo coffer restore"});
  }
  set_log_level(invocation.config.log_level);
  if (auto prepared = prepare_process(); !prepared) return report_json(prepared.error());
  const auto restored = restore_state(invocation.config, invocation.restore);
  if (!restored) return report_json(restored.error());
  std::puts(restored->c_str());
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  std::error_code ec;
  const std::string program_dir = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path().string();
  auto invocation = read_invocation(arguments, environment, program_dir);
  if (!invocation) return report(invocation.error(), kUsage);
  switch (invocation->action) {
    case Action::print_help:
      std::fputs(help_text().c_str(), stdout);
      return 0;
    case Action::print_version:
      std::puts("cofferd " COFFER_VERSION);
      return 0;
    case Action::probe_accelerator:
      return probe();
    case Action::probe_network:
      return probe_network(invocation->config);
    case Action::restore:
      return restore(*invocation);
    case Action::serve:
      break;
  }
  return serve(std::move(invocation->config));
}

}  // namespace
}  // namespace cofferdam::daemon

int main(int argc, char** argv) {
  try {
    return cofferdam::daemon::run({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::exception& e) {
    // A bug: virtual machines live on under their jails, and the next daemon takes them over.
    std::fprintf(stderr, "cofferd: ended by an unexpected exception: %s\n", e.what());
    return 1;
  }
}

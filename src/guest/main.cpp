// coffer-guest: PID 1 of every guest, the host's only hand inside. Its stages, in order; then it serves the link.
#include <fcntl.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "guest/agent.h"
#include "guest/cgroups.h"
#include "guest/modules.h"
#include "guest/mounts.h"
#include "guest/net_config.h"
#include "wire/version.h"

namespace cofferdam::guest {
namespace {

constexpr auto kModuleList = "/modules.list";
constexpr auto kImageDevice = "/dev/vda";
constexpr auto kDebugFlag = "coffer.debug";
constexpr auto kDeviceDeadline = std::chrono::seconds(10);
constexpr auto kDevicePoll = std::chrono::milliseconds(2);

// 0 to 2 are open whatever the kernel gave us: no later descriptor may land there.
void open_standard_files() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= 2);
  if (fd > 2) ::close(fd);
}

// The console is a virtio device: it is there only once its driver is.
void log_to_console() {
  const auto console = open_file("/dev/hvc0", O_WRONLY | O_NOCTTY | O_NONBLOCK);
  if (console) ::dup2(console->get(), STDERR_FILENO);
  const auto command_line = read_file("/proc/cmdline", 64U << 10);
  if (command_line && command_line->find(kDebugFlag) != std::string::npos) set_log_level(LogLevel::debug);
}

template <class Find>
Result<std::string> wait_for(std::string_view what, Find find) {
  const auto deadline = std::chrono::steady_clock::now() + kDeviceDeadline;
  for (;;) {
    if (std::string found = find(); !found.empty()) return found;
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(Code::DeadlineExceeded, cat("no ", what, " appeared within 10 s"));
    }
    std::this_thread::sleep_for(kDevicePoll);
  }
}

std::string find_port() {
  const std::string folder = "/sys/class/virtio-ports";
  const auto names = list_directory(folder);
  if (!names) return {};
  for (const auto& name : *names) {
    const auto label = read_file(cat(folder, "/", name, "/name"), 256);
    if (label && trim(*label) == wire::kPortName) return "/dev/" + name;
  }
  return {};
}

Result<UniqueFd> open_link() {
  TRY_ASSIGN(const std::string path, wait_for(cat("virtio port '", wire::kPortName, "'"), &find_port));
  TRY_ASSIGN(const std::string node, wait_for(path, [&] { return path_exists(path) ? path : std::string(); }));
  return open_file(node, O_RDWR | O_NONBLOCK | O_NOCTTY);
}

// The kernel never kills PID 1 for want of memory, whatever its score; a score of its own would only be inherited by
// its children, who must not be spared.
Status protect_from_memory_shortage() {
  // Neither our code nor our data may wait for the disk when memory is short.
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return fail_errno("lock the agent's memory");
  return {};
}

// Three descriptors a process, and some for files: more than an init gets by default.
void raise_descriptor_limit() {
  constexpr rlim_t kDescriptors = 16384;
  const rlimit limit{kDescriptors, kDescriptors};
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status run_as_init() {
  TRY(mount_early());
  open_standard_files();
  raise_descriptor_limit();
  TRY(load_modules(kModuleList));
  log_to_console();
  TRY_ASSIGN(UniqueFd link, open_link());
  TRY_ASSIGN(const std::string image, wait_for(kImageDevice, [] {
               return path_exists(kImageDevice) ? std::string(kImageDevice) : std::string();
             }));
  TRY(mount_image(image));
  TRY(set_up_cgroups(kCgroupRoot));
  TRY(protect_from_memory_shortage());
  TRY(bring_loopback_up());
  TRY_ASSIGN(const auto loop, Loop::create());
  Agent agent(*loop, std::move(link), Role::init);
  TRY(agent.use_cgroups());
  log_info("the guest is up");
  agent.serve();
  return {};
}

// Before the console's driver is there nobody hears us but the VMM of a template, at its debug port. A machine without
// one lets the bytes go.
void tell_vmm(std::string_view text) {
  constexpr unsigned short kDebugPort = 0xe9;
  if (::ioperm(kDebugPort, 1, 1) != 0) return;
  for (const char c : text) ::outb(static_cast<unsigned char>(c), kDebugPort);
  ::outb('\n', kDebugPort);
}

[[noreturn]] void end_machine() {
  ::sync();
  ::reboot(RB_POWER_OFF);
  // A machine that cannot switch itself off ends at a reset.
  ::reboot(RB_AUTOBOOT);
  for (;;) ::pause();
}

// For tests: serves an inherited stream socket as an ordinary process.
int run_as_program(int fd) {
  // Orphans of what it starts come to it, as they come to PID 1.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  const auto loop = Loop::create();
  if (!loop) {
    log_error("cannot start", {{"error", loop.error().message}});
    return 1;
  }
  Agent(**loop, UniqueFd(fd), Role::program).serve();
  return 0;
}

int run(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(022);
  if (argc == 3 && std::strcmp(argv[1], "--serve-fd") == 0) {
    const auto fd = parse_int("--serve-fd", argv[2], 3, 1 << 20);
    if (fd) return run_as_program(static_cast<int>(*fd));
  }
  if (::getpid() != 1) {
    log_error("coffer-guest is the init of a guest; elsewhere it needs --serve-fd N");
    return 2;
  }
  if (const Status done = run_as_init(); !done) {
    log_error("the guest cannot go on", {{"error", done.error().message}});
    tell_vmm(cat("the guest cannot go on: ", done.error().message));
  }
  end_machine();
}

}  // namespace
}  // namespace cofferdam::guest

int main(int argc, char** argv) { return cofferdam::guest::run(argc, argv); }

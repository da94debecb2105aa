#include "cli/terminal.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace cofferdam::cli {
namespace {

// A signal handler can reach nothing but statics. Written before the handlers are set, and read by them only.
struct Restore {
  int fd = -1;
  termios saved{};
  termios raw{};
};
Restore restore_at_signal;

constexpr std::array<int, 6> kFatal{SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU};

void on_fatal(int signal_number) {
  ::tcsetattr(restore_at_signal.fd, TCSANOW, &restore_at_signal.saved);
  // SA_RESETHAND has put the default back: this time it ends us.
  ::raise(signal_number);
}

void on_stop(int /*signal_number*/) {
  const int saved_errno = errno;
  ::tcsetattr(restore_at_signal.fd, TCSANOW, &restore_at_signal.saved);
  ::raise(SIGSTOP);
  ::tcsetattr(restore_at_signal.fd, TCSANOW, &restore_at_signal.raw);
  errno = saved_errno;
}

void set_handler(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal_number, &action, nullptr);
}

}  // namespace

bool is_terminal(int fd) { return ::isatty(fd) == 1; }

std::optional<WindowSize> window_size() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
      return WindowSize{size.ws_row, size.ws_col};
    }
  }
  return std::nullopt;
}

Result<RawMode> RawMode::enter(int fd) {
  Restore next;
  next.fd = fd;
  if (::tcgetattr(fd, &next.saved) != 0) return fail_errno("read the mode of the terminal");
  next.raw = next.saved;
  ::cfmakeraw(&next.raw);
  restore_at_signal = next;
  for (const int signal_number : kFatal) {
    set_handler(signal_number, on_fatal, static_cast<int>(SA_RESETHAND | static_cast<unsigned>(SA_NODEFER)));
  }
  set_handler(SIGTSTP, on_stop, SA_RESTART);
  RawMode mode(fd);
  if (::tcsetattr(fd, TCSADRAIN, &next.raw) != 0) return fail_errno("set the terminal to raw mode");
  return mode;
}

RawMode::RawMode(RawMode&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

RawMode::~RawMode() {
  if (fd_ < 0) return;
  ::tcsetattr(fd_, TCSADRAIN, &restore_at_signal.saved);
  for (const int signal_number : kFatal) set_handler(signal_number, SIG_DFL, 0);
  set_handler(SIGTSTP, SIG_DFL, 0);
}

}  // namespace cofferdam::cli

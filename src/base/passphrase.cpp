#include "base/passphrase.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>

#include "base/file.h"
#include "base/rollback.h"
#include "base/text.h"

namespace cofferdam {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMin = 8;
constexpr std::size_t kMax = 1024;

// What is typed is not shown until `after` has run.
Status ask(int terminal, std::string_view prompt, Rollback& after) {
  termios before{};
  if (::tcgetattr(terminal, &before) != 0) return fail_errno("look at the terminal's settings");
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (::tcsetattr(terminal, TCSAFLUSH, &quiet) != 0) return fail_errno("switch the terminal's echo off");
  after.add([terminal, before] {
    (void)::tcsetattr(terminal, TCSAFLUSH, &before);
    (void)write_all(terminal, "\n");
  });
  return write_all(terminal, prompt);
}

Result<std::size_t> read_some(int fd, std::span<char> room, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return fail(Code::DeadlineExceeded, "no passphrase came in time");
    pollfd ready{fd, POLLIN, 0};
    const int polled = ::poll(&ready, 1, static_cast<int>(std::min<long>(left, 1000)));
    if (polled < 0 && errno != EINTR) return fail_errno("wait for a passphrase");
    if (polled <= 0) continue;
    const ssize_t n = ::read(fd, room.data(), room.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) return fail_errno("read a passphrase");
    return static_cast<std::size_t>(n);
  }
}

Result<SecureBytes> read_line(int fd, Clock::time_point deadline) {
  SecureBytes room(kMax + 2);
  std::size_t have = 0;
  auto end = std::string_view::npos;
  while (end == std::string_view::npos && have < room.size()) {
    TRY_ASSIGN(const std::size_t n, read_some(fd, room.writable().subspan(have), deadline));
    have += n;
    end = room.view().substr(0, have).find('\n');
    if (n == 0) break;
  }
  const auto line = room.view().substr(0, std::min(end, have));
  if (line.size() < kMin || line.size() > kMax) {
    return fail(Code::InvalidArgument, cat("a passphrase has ", kMin, " to ", kMax, " bytes"));
  }
  return SecureBytes::copy_of(line);
}

}  // namespace

Result<SecureBytes> read_passphrase(const std::string& path, std::chrono::milliseconds limit, std::string_view setting,
                                    std::string_view prompt) {
  const std::string what = cat(setting, " '", path, "'");
  // A named pipe is opened without waiting for its writer; the wait for what it says has an end.
  auto file = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (file && ::isatty(file->get()) == 1) file = open_file(path, O_RDWR | O_NONBLOCK | O_NOCTTY);
  if (!file) return fail(std::move(file.error()).in(what));
  struct stat st{};
  if (::fstat(file->get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  if (S_ISREG(st.st_mode) && (st.st_mode & 077) != 0) {
    return fail(Code::FailedPrecondition, cat(what, " can be read by others than its owner"),
                cat("chmod 600 '", path, "'; choose another passphrase if somebody has read it"));
  }
  Rollback after;
  if (::isatty(file->get()) == 1) TRY(ask(file->get(), prompt, after));
  auto line = read_line(file->get(), Clock::now() + limit);
  if (!line) return fail(std::move(line.error()).in(what));
  return line;
}

}  // namespace cofferdam

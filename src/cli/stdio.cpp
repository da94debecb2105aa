#include "cli/stdio.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <cerrno>
#include <limits>

#include "base/text.h"

namespace cofferdam::cli {
namespace {

namespace asio = loop::asio;

// A pipe that is ready takes this much without blocking (PIPE_BUF).
constexpr std::size_t kSafePiece = 4096;

int duplicate(int fd) { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); }

bool is_pipe_or_terminal(int fd) {
  struct stat st{};
  return ::fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || ::isatty(fd) == 1);
}

bool is_regular(int fd) {
  struct stat st{};
  return ::fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

// Waiting for what epoll does not know (such as /dev/null) fails with this: it is always ready.
bool cannot_wait(const boost::system::error_code& ec) { return ec == asio::error::operation_not_supported; }

}  // namespace

Input::Input(const asio::any_io_executor& executor, int fd) : stream_(executor), always_ready_(is_regular(fd)) {
  boost::system::error_code ec;
  const int own = duplicate(fd);
  if (own >= 0) stream_.assign(own, ec);
}

Task<std::string> Input::read(std::size_t max) {
  std::string bytes(max, '\0');
  for (;;) {
    if (!always_ready_) {
      const auto [ec] = co_await stream_.async_wait(asio::posix::stream_descriptor::wait_read, loop::as_result);
      if (cannot_wait(ec)) always_ready_ = true;
      if (ec && !always_ready_) co_return fail(loop::asio_error("wait for standard input", ec));
    }
    const ssize_t n = ::read(stream_.native_handle(), bytes.data(), bytes.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // A terminal that went away.
    if (n < 0 && errno == EIO) co_return std::string();
    if (n < 0) co_return fail_errno("read standard input");
    bytes.resize(static_cast<std::size_t>(n));
    co_return bytes;
  }
}

Output::Output(const asio::any_io_executor& executor, int fd)
    : stream_(executor), always_ready_(is_regular(fd)), piece_(kSafePiece) {
  boost::system::error_code ec;
  int own = -1;
  if (is_pipe_or_terminal(fd)) {
    own = ::open(cat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) piece_ = std::numeric_limits<std::size_t>::max();
  }
  if (own < 0) own = duplicate(fd);
  if (own >= 0) stream_.assign(own, ec);
  if (always_ready_) piece_ = std::numeric_limits<std::size_t>::max();
}

Task<void> Output::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t want = std::min(bytes.size(), piece_);
    const bool try_first = always_ready_ || piece_ != kSafePiece;
    ssize_t n = -1;
    errno = EAGAIN;
    if (try_first) n = ::write(stream_.native_handle(), bytes.data(), want);
    if (n < 0 && errno == EAGAIN) {
      const auto [ec] = co_await stream_.async_wait(asio::posix::stream_descriptor::wait_write, loop::as_result);
      if (cannot_wait(ec)) always_ready_ = true;
      if (ec && !always_ready_) co_return fail(loop::asio_error("wait for the output", ec));
      n = ::write(stream_.native_handle(), bytes.data(), want);
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0 && (errno == EPIPE || errno == EIO)) co_return fail(Code::Unavailable, "nobody reads the output");
    if (n < 0) co_return fail_errno("write the output");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  co_return Status{};
}

}  // namespace cofferdam::cli

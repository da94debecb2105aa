#include "http/stream.h"

#include <sys/socket.h>

#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace cofferdam::http {
namespace {

// A quiet connection does not keep the memory of its largest read.
constexpr std::size_t kKeptBuffer = 16U << 10;

}  // namespace

struct Stream::Watchdog : std::enable_shared_from_this<Watchdog> {
  Watchdog(const loop::asio::any_io_executor& executor, StreamSocket* watched) : timer(executor), socket(watched) {}

  loop::asio::steady_timer timer;
  StreamSocket* socket;  // null once the stream is gone
  Clock::time_point due = Clock::time_point::max();
  Clock::time_point fires_at = Clock::time_point::max();  // max: not running
  bool expired = false;

  void start(Clock::time_point at) {
    fires_at = at;
    timer.expires_at(at);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
      if (!ec) self->fired();
    });
  }
  void fired() {
    fires_at = Clock::time_point::max();
    if (socket == nullptr || due == Clock::time_point::max()) return;
    if (Clock::now() < due) return start(due);
    expired = true;
    due = Clock::time_point::max();
    boost::system::error_code ignored;
    (void)socket->cancel(ignored);
  }
};

Stream::Stream(StreamSocket socket)
    : socket_(std::move(socket)), watchdog_(std::make_shared<Watchdog>(socket_.get_executor(), &socket_)) {
  boost::system::error_code ignored;
  (void)socket_.non_blocking(true, ignored);
}

Stream::~Stream() {
  watchdog_->socket = nullptr;
  watchdog_->timer.cancel();
}

void Stream::begin(Clock::time_point deadline) {
  watchdog_->expired = false;
  watchdog_->due = deadline;
  if (deadline < watchdog_->fires_at) watchdog_->start(deadline);
}

bool Stream::finish() {
  watchdog_->due = Clock::time_point::max();
  return watchdog_->expired;
}

void Stream::consume(std::size_t count) {
  begin_ += count;
  if (begin_ < end_) return;
  begin_ = end_ = 0;
  if (buffer_.size() > kKeptBuffer) {
    buffer_.resize(kKeptBuffer);
    buffer_.shrink_to_fit();
  }
}

Task<std::size_t> Stream::fill(std::size_t max_bytes, Clock::time_point deadline, std::string_view what) {
  if (cut_) co_return fail(Code::Unavailable, cat(what, ": the connection was cut"));
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + max_bytes) buffer_.resize(end_ + max_bytes);
  begin(deadline);
  auto [ec, count] =
      co_await socket_.async_read_some(loop::asio::buffer(buffer_.data() + end_, max_bytes), loop::as_result);
  if (finish() && ec) co_return fail(Code::DeadlineExceeded, cat(what, ": the deadline has passed"));
  if (ec == loop::asio::error::eof) co_return 0U;
  if (ec) co_return fail(loop::asio_error(what, ec));
  end_ += count;
  co_return count;
}

Task<void> Stream::write(std::string_view head, std::string_view body, std::string_view tail,
                         Clock::time_point deadline, std::string_view what) {
  if (cut_) co_return fail(Code::Unavailable, cat(what, ": the connection was cut"));
  const std::array<loop::asio::const_buffer, 3> parts{loop::asio::buffer(head.data(), head.size()),
                                                      loop::asio::buffer(body.data(), body.size()),
                                                      loop::asio::buffer(tail.data(), tail.size())};
  begin(deadline);
  auto [ec, count] = co_await loop::asio::async_write(socket_, parts, loop::as_result);
  if (finish() && ec) co_return fail(Code::DeadlineExceeded, cat(what, ": the deadline has passed"));
  if (ec) co_return fail(loop::asio_error(what, ec));
  co_return Status{};
}

void Stream::shut_down_writing() {
  boost::system::error_code ignored;
  (void)socket_.shutdown(StreamSocket::shutdown_send, ignored);
}

void Stream::cut() {
  cut_ = true;
  boost::system::error_code ignored;
  (void)socket_.shutdown(StreamSocket::shutdown_both, ignored);
  (void)socket_.cancel(ignored);
}

Stream::Seen Stream::look() {
  if (begin_ < end_) return Seen::bytes;
  char byte = 0;
  const auto count = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (count > 0) return Seen::bytes;
  return count < 0 && (errno == EAGAIN || errno == EINTR) ? Seen::nothing : Seen::end;
}

Task<void> Stream::wait_until_gone() {
  for (;;) {
    const Seen seen = look();
    if (seen == Seen::end) co_return Status{};
    const auto what = seen == Seen::bytes ? StreamSocket::wait_error : StreamSocket::wait_read;
    auto [ec] = co_await socket_.async_wait(what, loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
    if (ec || seen == Seen::bytes) co_return Status{};
  }
}

StreamSocket Stream::release() {
  watchdog_->socket = nullptr;
  watchdog_->timer.cancel();
  return std::move(socket_);
}

}  // namespace cofferdam::http

#include "http/stream.h"

#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <tuple>

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

Stream::Stream(Transport transport)
    : transport_(std::move(transport)),
      watchdog_(std::make_shared<Watchdog>(transport_.get_executor(), &transport_.socket())) {
  boost::system::error_code ignored;
  (void)transport_.socket().non_blocking(true, ignored);
}

Stream::~Stream() {
  if (watchdog_->socket != nullptr && !cut_) transport_.flush(Transport::Farewell::close);
  watchdog_->socket = nullptr;
  watchdog_->timer.cancel();
}

Error Stream::explained(std::string_view what, const boost::system::error_code& ec) {
  if (transport_.tls() == nullptr || transport_.tls()->failure().empty()) return loop::asio_error(what, ec);
  return Error{Code::Unavailable, cat(what, ": TLS: ", transport_.tls()->failure()), {}};
}

Task<void> Stream::handshake(Clock::time_point deadline, std::string_view what) {
  TlsSession* const tls = transport_.tls();
  if (tls == nullptr) co_return Status{};
  auto& socket = transport_.socket();
  std::string incoming(4096, '\0');
  for (;;) {
    const auto step = tls->handshake();
    if (step == TlsSession::Step::failed || step == TlsSession::Step::ended) {
      transport_.flush(Transport::Farewell::none);  // the alert that says why
      const bool untrusted = tls->failure().find("the server's certificate") != std::string::npos;
      co_return fail(untrusted ? Code::Unauthenticated : Code::Unavailable, cat(what, ": TLS: ", tls->failure()));
    }
    const std::string output = tls->take_output();
    begin(deadline);
    boost::system::error_code ec;
    if (!output.empty()) {
      ec = std::get<0>(co_await loop::asio::async_write(socket, loop::asio::buffer(output), loop::as_result));
    }
    std::size_t count = 0;
    if (!ec && step == TlsSession::Step::needs_input) {
      std::tie(ec, count) = co_await socket.async_read_some(loop::asio::buffer(incoming), loop::as_result);
    }
    if (finish() && ec) co_return fail(Code::DeadlineExceeded, cat(what, ": the deadline has passed"));
    if (ec) co_return fail(loop::asio_error(what, ec));
    if (step == TlsSession::Step::done) co_return Status{};
    tls->feed({incoming.data(), count});
  }
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
      co_await transport_.async_read_some(loop::asio::buffer(buffer_.data() + end_, max_bytes), loop::as_result);
  if (finish() && ec) co_return fail(Code::DeadlineExceeded, cat(what, ": the deadline has passed"));
  if (ec == loop::asio::error::eof) co_return 0U;
  if (ec) co_return fail(explained(what, ec));
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
  auto [ec, count] = co_await loop::asio::async_write(transport_, parts, loop::as_result);
  if (finish() && ec) co_return fail(Code::DeadlineExceeded, cat(what, ": the deadline has passed"));
  if (ec) co_return fail(explained(what, ec));
  co_return Status{};
}

void Stream::shut_down_writing() {
  transport_.flush(Transport::Farewell::close);
  boost::system::error_code ignored;
  (void)transport_.socket().shutdown(StreamSocket::shutdown_send, ignored);
}

void Stream::cut() {
  cut_ = true;
  boost::system::error_code ignored;
  (void)transport_.socket().shutdown(StreamSocket::shutdown_both, ignored);
  (void)transport_.socket().cancel(ignored);
}

Task<void> Stream::wait_until_gone() {
  for (;;) {
    const Seen seen = look();
    if (seen == Seen::end) co_return Status{};
    const auto what = seen == Seen::bytes ? StreamSocket::wait_error : StreamSocket::wait_read;
    auto [ec] = co_await transport_.socket().async_wait(what, loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
    if (ec || seen == Seen::bytes) co_return Status{};
  }
}

Transport Stream::release() {
  watchdog_->socket = nullptr;
  watchdog_->timer.cancel();
  return std::move(transport_);
}

}  // namespace cofferdam::http

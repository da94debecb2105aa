#include "http/websocket.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket.hpp>

#include "base/text.h"
#include "loop/deadline.h"
#include "loop/event.h"

namespace cofferdam::http {

// How Beast ends and cuts a stream of ours; it finds them by their argument.
template <class Handler>
void async_teardown(boost::beast::role_type role, Transport& transport, Handler&& handler) {
  transport.flush(Transport::Farewell::close);
  boost::beast::websocket::async_teardown(role, transport.socket(), std::forward<Handler>(handler));
}

static void beast_close_socket(Transport& transport) {
  boost::system::error_code ignored;
  (void)transport.socket().close(ignored);
}

namespace {

namespace beast = boost::beast;
namespace ws = boost::beast::websocket;

// One writev a message instead of many small ones: room for a masked message and its frame head.
constexpr std::size_t kWriteBuffer = WebSocket::kMaxMessageBytes + 14;

using Wire = ws::stream<Transport, false>;

beast::string_view view(const std::string& text) { return {text.data(), text.size()}; }

Error ws_error(std::string_view what, const boost::system::error_code& ec) {
  Error error = loop::asio_error(what, ec);
  if (error.code == Code::Internal || error.code == Code::NotFound) error.code = Code::Unavailable;
  return error;
}

Code code_of_status(unsigned status) {
  switch (status) {
    case 400:
    case 422:
      return Code::InvalidArgument;
    case 401:
      return Code::Unauthenticated;
    case 403:
      return Code::PermissionDenied;
    case 404:
      return Code::NotFound;
    case 409:
      return Code::FailedPrecondition;
    case 429:
      return Code::ResourceExhausted;
    case 501:
      return Code::Unimplemented;
    case 503:
      return Code::Unavailable;
    case 504:
      return Code::DeadlineExceeded;
    default:
      return Code::Unknown;
  }
}

void set_limits(Wire& wire) {
  ws::stream_base::timeout limits{};
  limits.handshake_timeout = WebSocket::kHandshakeTimeout;  // also of the closing one
  // A quiet connection is not a dead one: whoever holds back a flood of input does not read for long.
  limits.idle_timeout = ws::stream_base::none();
  limits.keep_alive_pings = false;
  wire.set_option(limits);
  wire.read_message_max(WebSocket::kMaxMessageBytes);
  wire.auto_fragment(false);
  wire.write_buffer_bytes(kWriteBuffer);
}

}  // namespace

struct WebSocket::Impl {
  explicit Impl(Transport transport) : wire(std::move(transport)), write_free(wire.get_executor()) { set_limits(wire); }

  Wire wire;
  beast::flat_buffer incoming;
  loop::Event write_free;
  bool writing = false;
  bool closing = false;
  std::string violation;

  Task<void> send_close(std::uint16_t code, std::string reason) {
    ws::close_reason why(code);
    why.reason.assign(reason.data(), std::min<std::size_t>(reason.size(), why.reason.max_size()));
    auto [ec] = co_await wire.async_close(why, loop::as_result);
    // A read that runs beside this one may have seen the peer's close frame first.
    if (ec && ec != ws::error::closed && !wire.reason()) co_return fail(ws_error("close a WebSocket", ec));
    co_return Status{};
  }

  void cut() {
    boost::system::error_code ignored;
    auto& socket = wire.next_layer().socket();
    (void)socket.shutdown(StreamSocket::shutdown_both, ignored);
    (void)socket.cancel(ignored);
  }
};

WebSocket::WebSocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WebSocket::~WebSocket() = default;

Task<std::unique_ptr<WebSocket>> WebSocket::accept(Transport transport, const Request& request, Headers answer) {
  auto impl = std::make_unique<Impl>(std::move(transport));
  beast::http::request<beast::http::empty_body> upgrade;
  upgrade.version(11);
  upgrade.method(beast::http::verb::get);
  upgrade.target(view(request.target));
  for (const auto& [name, value] : request.headers.items()) upgrade.insert(view(name), view(value));
  impl->wire.set_option(ws::stream_base::decorator([answer = std::move(answer)](ws::response_type& response) {
    response.erase(beast::http::field::server);
    for (const auto& [name, value] : answer.items()) response.set(view(name), view(value));
  }));
  auto [ec] = co_await impl->wire.async_accept(upgrade, loop::as_result);
  if (ec) co_return fail(Error{Code::InvalidArgument, cat("upgrade to WebSocket: ", ec.message()), {}});
  co_return std::unique_ptr<WebSocket>(new WebSocket(std::move(impl)));
}

Task<std::unique_ptr<WebSocket>> WebSocket::connect(Transport transport, std::string host, std::string target,
                                                    Headers headers) {
  auto impl = std::make_unique<Impl>(std::move(transport));
  impl->wire.set_option(ws::stream_base::decorator([headers = std::move(headers)](ws::request_type& request) {
    request.erase(beast::http::field::user_agent);
    for (const auto& [name, value] : headers.items()) request.set(view(name), view(value));
  }));
  ws::response_type response;
  auto [ec] = co_await impl->wire.async_handshake(response, view(host), view(target), loop::as_result);
  if (ec == ws::error::upgrade_declined) {
    co_return fail(code_of_status(response.result_int()), std::move(response.body()));
  }
  if (ec) co_return fail(ws_error("open a WebSocket", ec));
  co_return std::unique_ptr<WebSocket>(new WebSocket(std::move(impl)));
}

Task<std::optional<WebSocket::Message>> WebSocket::read() {
  impl_->incoming.clear();
  auto [ec, count] = co_await impl_->wire.async_read(impl_->incoming, loop::as_result);
  // A peer may close its socket right behind its close frame, before ours has gone out.
  if (ec == ws::error::closed || (ec && impl_->wire.reason())) co_return std::nullopt;
  if (ec == ws::condition::protocol_violation || ec == ws::error::message_too_big) impl_->violation = ec.message();
  if (ec == ws::error::message_too_big) {
    co_return fail(Code::OutOfRange, cat("the peer sent a message of more than ", kMaxMessageBytes, " bytes"));
  }
  if (ec) co_return fail(ws_error("read from a WebSocket", ec));
  Message message;
  message.kind = impl_->wire.got_binary() ? Kind::binary : Kind::text;
  const auto data = impl_->incoming.cdata();
  message.bytes.assign(static_cast<const char*>(data.data()), data.size());
  co_return message;
}

Task<void> WebSocket::write(Kind kind, std::string bytes) {
  while (impl_->writing) CO_TRY(co_await impl_->write_free.wait());
  struct Turn {
    Impl& impl;
    explicit Turn(Impl& owner) : impl(owner) { impl.writing = true; }
    ~Turn() {
      impl.writing = false;
      impl.write_free.notify();
    }
  };
  const Turn turn(*impl_);
  impl_->wire.binary(kind == Kind::binary);
  auto [ec, count] = co_await impl_->wire.async_write(loop::asio::buffer(bytes), loop::as_result);
  if (ec) co_return fail(ws_error("write to a WebSocket", ec));
  co_return Status{};
}

Task<void> WebSocket::close(std::uint16_t code, std::string reason) {
  if (std::exchange(impl_->closing, true)) co_return Status{};
  const Status closed =
      co_await loop::with_deadline(impl_->send_close(code, std::move(reason)), kCloseTimeout, "close a WebSocket");
  if (!closed) impl_->cut();
  co_return closed;
}

Task<void> WebSocket::keep_alive(std::chrono::steady_clock::duration interval) {
  for (;;) {
    if (!co_await loop::sleep_for(interval)) co_return Status{};
    auto [ec] = co_await impl_->wire.async_ping({}, loop::as_result);
    if (ec) {
      impl_->cut();
      co_return Status{};
    }
  }
}

Task<void> WebSocket::wait_until_lost() {
  (void)co_await impl_->wire.next_layer().socket().async_wait(StreamSocket::wait_error, loop::as_result);
  const auto state = co_await loop::asio::this_coro::cancellation_state;
  if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
  co_return Status{};
}

const std::string& WebSocket::violation() const { return impl_->violation; }

std::uint16_t WebSocket::peer_close_code() const { return impl_->wire.reason().code; }

void WebSocket::cut() { impl_->cut(); }

}  // namespace cofferdam::http

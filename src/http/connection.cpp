#include "http/connection.h"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/system/system_error.hpp>
#include <charconv>
#include <exception>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "http/parser.h"
#include "http/text_rules.h"
#include "http/url.h"
#include "http/websocket.h"
#include "loop/deadline.h"
#include "loop/task_group.h"

namespace cofferdam::http {
namespace {

using Clock = Stream::Clock;

constexpr std::size_t kHeadRead = 8U << 10;
constexpr std::size_t kBodyRead = 64U << 10;
// What a handler left unread is read and dropped up to here, to keep the connection.
constexpr std::size_t kDrainLimit = 64U << 10;
// After a refusal, so much is still taken from a client that goes on sending, so that it sees the answer.
constexpr std::size_t kLingerLimit = 32U << 20;
constexpr std::chrono::seconds kLingerTime{2};

std::string hex(std::size_t value) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, 16).ptr;
  return {digits, end};
}

// The body of the request being served, straight from the connection.
class IncomingBody final : public RequestBody {
 public:
  // `min_rate` in bytes a second; 0: any.
  IncomingBody(Stream& stream, Parser& parser, std::chrono::milliseconds timeout, std::size_t min_rate,
               bool wants_continue)
      : stream_(stream), parser_(parser), timeout_(timeout), min_rate_(min_rate), wants_continue_(wants_continue) {}

  [[nodiscard]] std::optional<std::uint64_t> length() const override {
    return parser_.done() ? std::optional<std::uint64_t>(0) : parser_.content_length();
  }
  [[nodiscard]] bool at_end() const { return parser_.done() && ended_; }
  // The client was never told to send it.
  [[nodiscard]] bool still_held_back() const { return wants_continue_; }

  Task<std::string> next() override {
    for (;;) {
      if (std::string piece = parser_.take_body(); !piece.empty()) co_return piece;
      if (parser_.done()) {
        ended_ = true;
        co_return std::string{};
      }
      if (failure_status_ != 0) co_return fail(Code::FailedPrecondition, "the body has failed before");
      if (std::exchange(wants_continue_, false)) {
        CO_TRY(co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n", {}, {}, Clock::now() + timeout_, "answer"));
      }
      CO_TRY_ASSIGN(const bool advanced, parse_buffered());
      if (advanced) continue;
      const auto started = Clock::now();
      auto count = co_await stream_.fill(kBodyRead, started + patience(), "read the body of the request");
      waited_ += Clock::now() - started;
      received_ += count.value_or(0);
      if (!count && count.error().code == Code::Cancelled) co_return fail(std::move(count.error()));  // by its reader
      if (!count) {
        failure_status_ = count.error().code == Code::DeadlineExceeded ? 408 : 400;
        co_return fail(std::move(count.error()));
      }
      if (*count == 0) {
        failure_status_ = 400;
        co_return fail(Code::InvalidArgument, "the client closed the connection in the middle of the body");
      }
    }
  }

  Task<std::string> next_from(ByteStream& client) override {
    for (;;) {
      if (std::string piece = parser_.take_body(); !piece.empty()) co_return piece;
      if (parser_.done()) {
        ended_ = true;
        co_return std::string{};
      }
      CO_TRY_ASSIGN(const std::size_t used, parser_.put(unparsed_));
      unparsed_.erase(0, used);
      if (used != 0) continue;
      if (unparsed_.size() > kBodyRead) {
        co_return fail(Code::InvalidArgument, "the body is malformed: the head of a chunk is too long");
      }
      CO_TRY_ASSIGN(const std::string raw,
                    co_await loop::with_deadline(client.read(), timeout_, "read the body of the request"));
      if (raw.empty()) {
        co_return fail(Code::InvalidArgument, "the client closed the connection in the middle of the body");
      }
      unparsed_ += raw;
    }
  }

 private:
  // A byte now and then must not hold the connection for ever. Only the waiting for the client counts, not the time
  // that the handler takes for each piece.
  [[nodiscard]] Clock::duration patience() const {
    if (min_rate_ == 0) return timeout_;
    const auto earned = std::chrono::milliseconds(1000 * (received_ / min_rate_));
    return std::clamp<Clock::duration>(timeout_ + earned - waited_, Clock::duration::zero(), timeout_);
  }

  Result<bool> parse_buffered() {
    if (stream_.buffered().empty()) return false;
    auto used = parser_.put(stream_.buffered());
    if (!used) {
      failure_status_ = parser_.failure_status();
      return fail(std::move(used.error()));
    }
    stream_.consume(*used);
    if (*used == 0 && stream_.buffered().size() > kBodyRead) {
      failure_status_ = 400;
      return fail(Code::InvalidArgument, "the body is malformed: the head of a chunk is too long");
    }
    return *used != 0;
  }

  Stream& stream_;
  Parser& parser_;
  std::chrono::milliseconds timeout_;
  std::size_t min_rate_;
  std::string unparsed_;  // of a tunnel
  std::uint64_t received_ = 0;
  Clock::duration waited_{};
  bool wants_continue_;
  bool ended_ = false;
};

// A connection without any protocol of ours.
class RawBytes final : public ByteStream {
 public:
  RawBytes(Transport transport, std::string early, std::chrono::milliseconds write_timeout)
      : transport_(std::move(transport)), early_(std::move(early)), write_timeout_(write_timeout) {}
  ~RawBytes() override { transport_.flush(Transport::Farewell::close); }

  Task<std::string> read() override {
    if (!early_.empty()) co_return std::exchange(early_, {});
    std::string piece(kBodyRead, '\0');
    auto [ec, count] = co_await transport_.async_read_some(loop::asio::buffer(piece), loop::as_result);
    if (ec == loop::asio::error::eof) co_return std::string{};
    if (ec) co_return fail(loop::asio_error("read from a tunnel", ec));
    piece.resize(count);
    co_return piece;
  }
  Task<void> write(std::string bytes) override {
    co_return co_await loop::with_deadline(write_all(std::move(bytes)), write_timeout_, "write to a tunnel");
  }

 private:
  Task<void> write_all(std::string bytes) {
    auto [ec, count] = co_await loop::asio::async_write(transport_, loop::asio::buffer(bytes), loop::as_result);
    if (ec) co_return fail(loop::asio_error("write to a tunnel", ec));
    co_return Status{};
  }
  Transport transport_;
  std::string early_;
  std::chrono::milliseconds write_timeout_;
};

Response plain_error(const Request&, int status, const Error& error) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = error.message + "\n";
  return response;
}

}  // namespace

struct Connection::State {
  State(Transport transport, const ConnectionContext& shared, Peer who, std::optional<Error> refused)
      : stream(std::move(transport)), context(shared), peer(std::move(who)), refusal(std::move(refused)) {}

  Stream stream;
  const ConnectionContext& context;
  Peer peer;
  std::optional<Error> refusal;
  bool idle = true;
  bool draining = false;
  bool can_keep = false;     // the running request lets the connection be kept
  bool must_linger = false;  // the client may still be sending
  bool chunked_allowed = true;

  [[nodiscard]] Clock::time_point write_deadline() const { return Clock::now() + context.options.write_timeout; }

  Response format(const Request& request, int status, const Error& error) const {
    return context.error_format ? context.error_format(request, status, error) : plain_error(request, status, error);
  }

  // False: the connection is over.
  Task<bool> wait_for_request() {
    if (!stream.buffered().empty()) co_return true;
    idle = true;
    if (draining) co_return false;
    auto count = co_await stream.fill(kHeadRead, Clock::now() + context.options.idle_timeout, "wait for a request");
    idle = false;
    co_return count && *count != 0;
  }

  // The status of a refusal, or 0 when the head is complete; -1 when nobody is left to answer.
  Task<int> read_head(Parser& parser, Error& why) {
    const auto deadline = Clock::now() + context.options.header_timeout;
    for (;;) {
      if (!stream.buffered().empty()) {
        auto used = parser.put(stream.buffered());
        if (!used) {
          why = std::move(used.error());
          co_return parser.failure_status();
        }
        stream.consume(*used);
        if (parser.head_done()) co_return 0;
      }
      auto count = co_await stream.fill(kHeadRead, deadline, "read the head of the request");
      if (!count && count.error().code == Code::DeadlineExceeded) {
        why = std::move(count.error());
        co_return 408;
      }
      if (!count || *count == 0) co_return -1;
    }
  }

  // Fills in what the head says.
  static Status understand(Head& head, Request& request) {
    request.method = std::move(head.method);
    request.target = std::move(head.target);
    request.minor_version = head.minor_version;
    request.headers = std::move(head.headers);
    if (request.headers.count("host") != 1 && head.minor_version > 0) {
      return fail(Code::InvalidArgument, "the request has no Host header, or several");
    }
    TRY_ASSIGN(Target target, parse_target(request.target));
    request.segments = std::move(target.segments);
    request.query = std::move(target.query);
    return {};
  }

  // True when the connection can carry another request.
  Task<bool> serve_one() {
    Parser parser(MessageKind::request, context.options.max_header_bytes);
    Request request;
    request.id = new_id("req");
    request.peer = peer;
    Error why;
    CO_TRY_ASSIGN(int status, co_await read_head(parser, why));
    if (status < 0) co_return false;
    can_keep = false;
    if (status == 0) {
      chunked_allowed = parser.head().minor_version > 0;
      can_keep = parser.keep_alive();
      if (auto understood = understand(parser.head(), request); !understood) {
        status = request.target.size() > kMaxTarget ? 414 : 400;
        why = std::move(understood.error());
      } else if (refusal) {
        status = code_info(refusal->code).http_status;
        why = *refusal;
      }
    }
    if (status != 0) {
      can_keep = false;
      must_linger = true;
      co_return co_await respond(request, format(request, status, why));
    }
    const bool wants_continue = request.headers.has_token("expect", "100-continue") && !parser.done();
    const std::size_t min_rate = peer.local() ? 0 : context.options.min_body_rate;
    IncomingBody body(stream, parser, context.options.body_timeout, min_rate, wants_continue);
    request.body = &body;
    CO_TRY_ASSIGN(Response response, co_await call_handler(request));
    if (response.websocket) co_return co_await upgrade(request, std::move(response));
    if (response.tunnel) co_return co_await open_tunnel(request, std::move(response));
    co_await drop_rest(body, parser);
    co_return co_await respond(request, std::move(response));
  }

  // Always a response; an error only when this task was cancelled.
  Task<Response> call_handler(Request& request) {
    Error error;
    std::optional<std::string> thrown;
    try {
      auto answer = co_await context.handler(request);
      if (answer) co_return std::move(*answer);
      error = std::move(answer.error());
    } catch (const std::exception& e) {
      thrown = e.what();
    }
    // Asio ends a cancelled task by an exception, which is no bug.
    const auto cancellation = co_await loop::asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != loop::asio::cancellation_type::none) {
      co_return fail(Code::Cancelled, "the server is stopping");
    }
    if (thrown) {
      error = Error{Code::Internal, "the request failed for a reason that is a bug", "see the daemon's log"};
      log_error("a request handler threw",
                {{"request", request.id}, {"method", request.method}, {"target", request.target}, {"what", *thrown}});
    }
    int status = request.body->failure_status();
    if (status == 0) status = code_info(error.code).http_status;
    co_return format(request, status, error);
  }

  // What the handler left of the body would be taken for the next request.
  loop::asio::awaitable<void> drop_rest(IncomingBody& body, Parser& parser) {
    if (parser.done()) co_return;
    const auto left = parser.content_length();
    if (body.still_held_back() || body.failure_status() != 0 || (left && *left > kDrainLimit)) {
      can_keep = false;
      must_linger = true;
      co_return;
    }
    std::size_t dropped = 0;
    while (!parser.done()) {
      auto piece = co_await body.next();
      dropped += piece ? piece->size() : 0;
      if (!piece || dropped > kDrainLimit) {
        can_keep = false;
        must_linger = true;
        co_return;
      }
    }
  }

  static std::string start_of(const Request& request, const Response& response) {
    constexpr std::size_t kUsualHead = 512;
    std::string head;
    head.reserve(kUsualHead);
    head += cat("HTTP/1.1 ", response.status, " ", reason_phrase(response.status), "\r\n");
    for (const auto& [name, value] : response.headers.items()) append_header(head, name, value);
    append_header(head, "X-Request-Id", request.id);
    return head;
  }

  Task<bool> respond(const Request& request, Response response) {
    const bool bodiless = request.method == "HEAD" || response.status == 204 || response.status == 304;
    std::string head = start_of(request, response);
    const bool chunked = response.source && !response.source_length && chunked_allowed;
    if (response.source && !response.source_length && !chunked_allowed) can_keep = false;
    if (!response.source) {
      if (response.status != 204) append_header(head, "Content-Length", std::to_string(response.body.size()));
    } else if (response.source_length) {
      append_header(head, "Content-Length", std::to_string(*response.source_length));
    } else if (chunked) {
      append_header(head, "Transfer-Encoding", "chunked");
    }
    if (draining) can_keep = false;
    if (!can_keep) append_header(head, "Connection", "close");
    head += "\r\n";
    const std::string_view body = bodiless ? std::string_view{} : std::string_view(response.body);
    CO_TRY(co_await stream.write(head, body, {}, write_deadline(), "send the answer"));
    if (response.source && !bodiless) {
      const Status sent = chunked ? co_await send_chunks(*response.source)
                                  : co_await send_plain(*response.source, response.source_length);
      CO_TRY(sent);
    }
    co_return can_keep;
  }

  // An exception must not reach the operator ||, which would go on waiting for the other side.
  static Task<std::string> next_of(BodySource& source) {
    std::string thrown;
    try {
      co_return co_await source.next();
    } catch (const std::exception& e) {
      thrown = e.what();
    }
    const auto cancellation = co_await loop::asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != loop::asio::cancellation_type::none) {
      co_return fail(Code::Cancelled, "the server is stopping");
    }
    log_error("the source of an answer threw", {{"what", thrown}});
    co_return fail(Code::Internal, "the answer's source threw");
  }

  // The source's next piece; Unavailable when the client goes before it is there.
  Task<std::string> pull(BodySource& source) {
    using loop::asio::experimental::awaitable_operators::operator||;
    if (!source.may_wait()) co_return co_await source.next();
    auto first = co_await (next_of(source) || stream.wait_until_gone());
    if (first.index() == 0) co_return std::get<0>(std::move(first));
    co_return fail(Code::Unavailable, "the client has gone");
  }

  // A source that fails ends the connection without the last chunk: the client sees that the answer was cut.
  Task<void> send_chunks(BodySource& source) {
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await pull(source));
      if (piece.empty()) break;
      const std::string head = hex(piece.size()) + "\r\n";
      CO_TRY(co_await stream.write(head, piece, "\r\n", write_deadline(), "send the answer"));
    }
    co_return co_await stream.write("0\r\n\r\n", {}, {}, write_deadline(), "send the answer");
  }

  Task<void> send_plain(BodySource& source, std::optional<std::uint64_t> length) {
    std::uint64_t sent = 0;
    for (;;) {
      CO_TRY_ASSIGN(std::string piece, co_await pull(source));
      if (piece.empty()) break;
      sent += piece.size();
      if (length && sent > *length) co_return fail(Code::DataLoss, "the answer's source has grown");
      CO_TRY(co_await stream.write(piece, {}, {}, write_deadline(), "send the answer"));
    }
    if (length && sent < *length) co_return fail(Code::DataLoss, "the answer's source ended early");
    co_return Status{};
  }

  Task<bool> upgrade(const Request& request, Response response) {
    can_keep = false;
    // A client may send frames only once it has seen the answer.
    if (!request.headers.has_token("upgrade", "websocket") || request.method != "GET" || !stream.buffered().empty()) {
      const Error error{Code::InvalidArgument, "this path speaks WebSocket only", "send an upgrade request"};
      Response refused = format(request, 426, error);
      refused.headers.set("Upgrade", "websocket");
      co_return co_await respond(request, std::move(refused));
    }
    response.headers.add("X-Request-Id", request.id);
    const auto executor = co_await loop::asio::this_coro::executor;
    CO_TRY_ASSIGN(const auto socket, co_await WebSocket::accept(stream.release(), request, response.headers));
    loop::TaskGroup pings(executor);
    pings.spawn("websocket pings", socket->keep_alive(context.options.ping_interval));
    Status status;
    std::exception_ptr thrown;
    try {
      status = co_await response.websocket->run(*socket);
    } catch (...) {
      thrown = std::current_exception();
    }
    socket->cut();
    pings.cancel();
    // Even a cancelled connection must see its pings end before the socket goes.
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    CO_TRY(co_await pings.join());
    if (thrown) std::rethrow_exception(thrown);
    CO_TRY(status);
    co_return false;
  }

  Task<bool> open_tunnel(const Request& request, Response response) {
    can_keep = false;
    const std::string head = start_of(request, response) + "\r\n";
    CO_TRY(co_await stream.write(head, {}, {}, write_deadline(), "send the answer"));
    std::string early(stream.buffered());
    stream.consume(early.size());
    RawBytes client(stream.release(), std::move(early), context.options.write_timeout);
    CO_TRY(co_await response.tunnel->run(client));
    co_return false;
  }

  // Lets a client that is still sending see the answer before the connection goes.
  Task<void> linger() {
    stream.shut_down_writing();
    const auto deadline = Clock::now() + kLingerTime;
    for (std::size_t taken = 0; taken < kLingerLimit;) {
      stream.consume(stream.buffered().size());
      CO_TRY_ASSIGN(const std::size_t count, co_await stream.fill(kBodyRead, deadline, "wait for the client to close"));
      if (count == 0) break;
      taken += count;
    }
    co_return Status{};
  }
};

Connection::Connection(Transport transport, const ConnectionContext& context, Peer peer, std::optional<Error> refusal)
    : state_(std::make_unique<State>(std::move(transport), context, std::move(peer), std::move(refusal))) {}

Connection::~Connection() = default;

void Connection::drain() {
  state_->draining = true;
  if (state_->idle) state_->stream.cut();
}

Task<void> Connection::serve() {
  const auto deadline = Clock::now() + state_->context.options.handshake_timeout;
  if (auto agreed = co_await state_->stream.handshake(deadline, "handshake"); !agreed) {
    log_debug("connection ended", {{"why", agreed.error().message}});
    co_return Status{};
  }
  for (;;) {
    CO_TRY_ASSIGN(const bool more, co_await state_->wait_for_request());
    if (!more) break;
    auto kept = co_await state_->serve_one();
    if (!kept) {
      log_debug("connection ended", {{"why", kept.error().message}});
      break;
    }
    if (!*kept) break;
  }
  if (state_->must_linger) (void)co_await state_->linger();
  co_return Status{};
}

}  // namespace cofferdam::http

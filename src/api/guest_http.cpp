#include "api/guest_http.h"

#include <algorithm>
#include <array>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <deque>
#include <exception>

#include "base/log.h"
#include "base/text.h"
#include "http/parser.h"
#include "loop/deadline.h"

namespace cofferdam::api {
namespace {

using OnEnd = std::function<void(std::uint64_t received, std::uint64_t sent)>;

constexpr std::size_t kMaxHead = 64U << 10;
constexpr std::size_t kMaxHeld = 128U << 10;  // of an answer that its reader has not taken
constexpr std::chrono::milliseconds kSendLimit = std::chrono::minutes(1);
constexpr std::chrono::milliseconds kAnswerLimit = std::chrono::minutes(10);
// What a client still sends once it was answered is taken so long, so that it sees the answer to its end.
constexpr std::chrono::milliseconds kLinger = std::chrono::seconds(2);
constexpr int kSwitching = 101;
constexpr int kFirstFinal = 200;
constexpr int kFirstError = 400;
constexpr int kNoContent = 204, kNotModified = 304;

// For one connection, not for who is behind it.
constexpr std::array<std::string_view, 9> kHopByHop = {
    "connection",        "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade"};
// Said anew.
constexpr std::array<std::string_view, 3> kOurs = {"host", "content-length", "expect"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

http::Headers end_to_end(const http::Headers& headers, bool request) {
  std::vector<std::string> named;
  for (const auto& [name, value] : headers.items()) {
    if (lower(name) != "connection") continue;
    for (const auto& part : split(value, ',')) named.push_back(lower(trim(part)));
  }
  http::Headers kept;
  for (const auto& [name, value] : headers.items()) {
    const std::string key = lower(name);
    if (is_one_of(kHopByHop, key) || std::find(named.begin(), named.end(), key) != named.end()) continue;
    if (request ? is_one_of(kOurs, key) : key == "content-length") continue;
    kept.add(name, value);
  }
  return kept;
}

// One exchange with the server. Its reader runs beside whoever takes the answer, and ends when nobody does any more.
class Exchange {
 public:
  Exchange(const loop::asio::any_io_executor& executor, std::shared_ptr<vm::Machine> machine,
           std::unique_ptr<vm::GuestConnection> connection, bool head_only, OnEnd on_end)
      : machine_(std::move(machine)),
        connection_(std::move(connection)),
        on_end_(std::move(on_end)),
        kind_(head_only ? http::MessageKind::response_to_head : http::MessageKind::response),
        parser_(kind_, kMaxHead),
        head_ready_(executor),
        arrived_(executor),
        room_(executor),
        leave_(executor),
        to_send_(executor),
        sent_(executor),
        stop_sending_(executor) {}
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    if (on_end_) on_end_(bytes_received_, bytes_sent_);
  }

  vm::GuestConnection& connection() { return *connection_; }
  Task<void> send(std::string bytes) {
    bytes_sent_ += bytes.size();
    return connection_->write(std::move(bytes));
  }
  // Of a tunnel, which reads for itself.
  Task<std::optional<std::string>> receive() {
    auto piece = co_await connection_->read();
    if (piece && *piece) bytes_received_ += (*piece)->size();
    co_return piece;
  }
  [[nodiscard]] bool head_done() const { return head_done_; }
  [[nodiscard]] bool ended() const { return ended_; }
  http::Parser& parser() { return parser_; }
  // What came behind the head of an answer that switches protocols.
  std::string take_rest() { return std::move(unparsed_); }

  Task<void> wait_for_head() {
    while (!head_done_ && !ended_) CO_TRY(co_await head_ready_.wait());
    if (head_done_) co_return Status{};
    co_return fail(failure_ ? *failure_ : Error{Code::Unavailable, "the server closed without an answer", {}});
  }
  // Its head is there, or there will be none.
  [[nodiscard]] bool answers() const { return head_done_ || ended_; }
  Task<void> wait_until_it_answers() {
    while (!answers()) CO_TRY(co_await head_ready_.wait());
    co_return Status{};
  }

  // Bytes of the request's body for the server, in order. False: those before have not been taken yet.
  bool offer(std::string& bytes) {
    if (!outbox_.empty() && !wants_no_more()) return false;
    if (!wants_no_more()) outbox_ = std::move(bytes);
    bytes.clear();
    to_send_.notify();
    return true;
  }
  // Returns when offer() may succeed.
  Task<void> wait_for_room() {
    while (!outbox_.empty() && !wants_no_more()) CO_TRY(co_await sent_.wait());
    co_return Status{};
  }
  // The server takes no more of the body: it is gone, or has refused.
  [[nodiscard]] bool wants_no_more() {
    return sending_failed_ || abandoned_ || closed_ || failure_ || (head_done_ && parser_.head().status >= kFirstError);
  }
  // Held by whoever runs it. Beside read_answer(), so that a server that answers while it reads holds up neither.
  Task<void> send_body() {
    using loop::asio::experimental::awaitable_operators::operator||;
    while (!wants_no_more()) {
      if (outbox_.empty()) {
        CO_TRY(co_await to_send_.wait());
        continue;
      }
      auto bytes = std::exchange(outbox_, {});
      writing_ = true;
      sent_.notify();
      auto writing = loop::with_deadline(send(std::move(bytes)), kSendLimit, "send to the server");
      auto first = co_await (std::move(writing) || stop_sending_.wait());
      writing_ = false;
      sent_.notify();
      if (first.index() == 1 || !std::get<0>(first)) break;
    }
    sending_failed_ = true;
    sent_.notify();
    co_return Status{};
  }
  // Returns when the server has been given all that was offered.
  Task<void> wait_until_sent() {
    while ((writing_ || !outbox_.empty()) && !wants_no_more()) CO_TRY(co_await sent_.wait());
    co_return Status{};
  }

  // Of the answer's body; empty at its end.
  Task<std::string> next() {
    while (held_.empty() && !ended_) CO_TRY(co_await arrived_.wait());
    if (!held_.empty()) {
      std::string piece = std::move(held_.front());
      held_.pop_front();
      held_bytes_ -= piece.size();
      room_.notify();
      co_return piece;
    }
    if (failure_) co_return fail(*failure_);
    co_return std::string{};
  }
  [[nodiscard]] bool waits() const { return held_.empty() && !ended_; }
  void abandon() {
    abandoned_ = true;
    room_.notify();
    leave_.notify();
    to_send_.notify();
    stop_sending_.notify();
  }

  // Held by whoever runs it.
  Task<void> read_answer() {
    using loop::asio::experimental::awaitable_operators::operator||;
    while (!done() && !abandoned_) {
      if (held_bytes_ >= kMaxHeld) {
        CO_TRY(co_await room_.wait());
        continue;
      }
      auto first = co_await (connection_->read() || leave_.wait());
      if (first.index() == 1) break;
      auto& piece = std::get<0>(first);
      const Status taken = piece ? take(*piece) : Status(fail(std::move(piece.error())));
      if (!taken) {
        failure_ = taken.error();
        break;
      }
    }
    ended_ = true;
    head_ready_.notify();
    arrived_.notify();
    to_send_.notify();
    sent_.notify();
    co_return Status{};
  }

 private:
  [[nodiscard]] bool done() const { return switched_ || (head_done_ && parser_.done()) || closed_; }

  Status take(const std::optional<std::string>& piece) {
    if (!piece) {
      closed_ = true;
      return parser_.put_end();
    }
    bytes_received_ += piece->size();
    unparsed_ += *piece;
    while (!unparsed_.empty() && !done()) {
      auto used = parser_.put(unparsed_);
      if (!used) return fail(Code::Unavailable, cat("the server does not speak HTTP: ", used.error().message));
      unparsed_.erase(0, *used);
      if (std::string body = parser_.take_body(); !body.empty()) {
        held_bytes_ += body.size();
        held_.push_back(std::move(body));
        arrived_.notify();
      }
      if (!head_done_ && parser_.head_done()) {
        const int status = parser_.head().status;
        if (status < kFirstFinal && status != kSwitching) {
          parser_ = http::Parser(kind_, kMaxHead);  // the real one follows
          continue;
        }
        head_done_ = true;
        switched_ = status == kSwitching;
        head_ready_.notify();
      } else if (*used == 0) {
        if (unparsed_.size() > kMaxHead) return fail(Code::Unavailable, "the server's answer has too long a head");
        break;
      }
    }
    return {};
  }

  std::shared_ptr<vm::Machine> machine_;  // the workspace is in use until this has ended
  std::unique_ptr<vm::GuestConnection> connection_;
  OnEnd on_end_;
  std::uint64_t bytes_sent_ = 0, bytes_received_ = 0;
  http::MessageKind kind_;
  http::Parser parser_;
  loop::Event head_ready_, arrived_, room_, leave_, to_send_, sent_, stop_sending_;
  std::string unparsed_;
  std::deque<std::string> held_;
  std::size_t held_bytes_ = 0;
  std::string outbox_;
  std::optional<Error> failure_;
  bool head_done_ = false, switched_ = false, closed_ = false, ended_ = false, abandoned_ = false,
       sending_failed_ = false, writing_ = false;
};

// Lets the reader go when nobody wants the answer any more.
class Hold {
 public:
  explicit Hold(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  Hold(Hold&&) noexcept = default;
  Hold& operator=(Hold&&) = delete;
  ~Hold() {
    if (exchange_) exchange_->abandon();
  }
  Exchange* operator->() const { return exchange_.get(); }
  Exchange& operator*() const { return *exchange_; }

 private:
  std::shared_ptr<Exchange> exchange_;
};

class ProxiedBody final : public http::BodySource {
 public:
  explicit ProxiedBody(Hold exchange) : exchange_(std::move(exchange)) {}
  [[nodiscard]] bool may_wait() const override { return exchange_->waits(); }
  Task<std::string> next() override { return exchange_->next(); }

 private:
  Hold exchange_;
};

class ProxiedTunnel final : public http::Tunnel {
 public:
  explicit ProxiedTunnel(Hold exchange) : exchange_(std::move(exchange)) {}

  Task<void> run(http::ByteStream& client) override {
    const auto executor = co_await loop::asio::this_coro::executor;
    loop::TaskGroup pumps(executor);
    loop::Event done(executor);
    pumps.spawn("tunnel to a workspace", to_server(client, done));
    pumps.spawn("tunnel from a workspace", to_client(client, done));
    std::exception_ptr thrown;
    try {
      (void)co_await done.wait();
    } catch (...) {
      thrown = std::current_exception();
    }
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    pumps.cancel();
    (void)co_await pumps.join();
    if (thrown) std::rethrow_exception(thrown);
    co_return Status{};
  }

 private:
  Task<void> to_server(http::ByteStream& client, loop::Event& done) {
    for (;;) {
      auto piece = co_await client.read();
      if (!piece || piece->empty()) break;
      if (!co_await exchange_->send(std::move(*piece))) break;
    }
    (void)co_await exchange_->connection().shut_down_writing();
    done.notify();
    co_return Status{};
  }
  Task<void> to_client(http::ByteStream& client, loop::Event& done) {
    std::string rest = exchange_->take_rest();
    bool open = rest.empty() || (co_await client.write(std::move(rest))).has_value();
    while (open) {
      auto piece = co_await exchange_->receive();
      open = piece && *piece && (co_await client.write(std::move(**piece))).has_value();
    }
    done.notify();
    co_return Status{};
  }
  Hold exchange_;
};

std::string framed(std::string piece, bool chunked) {
  if (!chunked) return piece;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string size;
  for (std::size_t left = piece.size(); left != 0; left /= 16) size.insert(size.begin(), kDigits[left % 16]);
  return piece.empty() ? "0\r\n\r\n" : cat(size, "\r\n", piece, "\r\n");
}

// The request's body on its way to the server. An error of the client's is one; the server's is not: it may have
// answered.
struct Upload {
  http::RequestBody* body = nullptr;  // outlives it
  bool chunked = false;
  std::string pending = {};  // read, and not handed over
  bool ended = false;        // all was read

  [[nodiscard]] bool done() const { return ended && pending.empty(); }
  void take(std::string piece) {
    ended = piece.empty();
    pending = framed(std::move(piece), chunked);
  }
};

Task<void> fetch(Upload& upload, std::optional<Result<std::string>>& piece) {
  piece = co_await upload.body->next();
  co_return Status{};
}

// Until the server has been given all of it, or answers while the rest is still to come. What was read is not lost.
Task<void> send_until_answered(Upload& upload, Exchange& exchange) {
  using loop::asio::experimental::awaitable_operators::operator||;
  while (!upload.done()) {
    if (!upload.pending.empty()) {
      if (exchange.offer(upload.pending)) continue;
      if (exchange.answers()) break;
      (void)co_await (exchange.wait_for_room() || exchange.wait_until_it_answers());
      continue;
    }
    std::optional<Result<std::string>> piece;
    (void)co_await (fetch(upload, piece) || exchange.wait_until_it_answers());
    if (!piece || (!*piece && piece->error().code == Code::Cancelled)) {
      if (exchange.answers()) break;
      co_return fail(Code::Cancelled, "the request was given up");
    }
    CO_TRY(*piece);
    upload.take(std::move(**piece));
  }
  co_return Status{};
}

// Both at once: an answer that begins before the request has ended.
class Duplex final : public http::Tunnel {
 public:
  Duplex(Hold exchange, Upload upload, bool chunked)
      : exchange_(std::move(exchange)), upload_(std::move(upload)), chunked_(chunked) {}

  Task<void> run(http::ByteStream& client) override {
    const auto executor = co_await loop::asio::this_coro::executor;
    loop::TaskGroup pumps(executor);
    loop::Event answered(executor), sent(executor);
    pumps.spawn("body for a proxied server", to_server(client, sent, answered));
    pumps.spawn("answer of a proxied server", to_client(client, answered));
    std::exception_ptr thrown;
    try {
      (void)co_await answered.wait();
      (void)co_await loop::with_deadline(sent.wait(), kLinger, "the rest of a body");
    } catch (...) {
      thrown = std::current_exception();
    }
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    pumps.cancel();
    (void)co_await pumps.join();
    if (thrown) std::rethrow_exception(thrown);
    co_return Status{};
  }

 private:
  Task<void> to_server(http::ByteStream& client, loop::Event& sent, loop::Event& answered) {
    Status taken;
    while (taken && !upload_.done()) {
      if (exchange_->wants_no_more() || exchange_->offer(upload_.pending)) {
        upload_.pending.clear();
        if (upload_.ended) break;
        auto piece = co_await upload_.body->next_from(client);
        if (piece) upload_.take(std::move(*piece));
        if (!piece) taken = fail(std::move(piece.error()));
      } else {
        taken = co_await exchange_->wait_for_room();
      }
    }
    if (taken) (void)co_await exchange_->wait_until_sent();
    sent.notify();
    if (!taken) answered.notify();  // the client is gone, or may send no more: nor is it answered any further
    co_return Status{};
  }
  Task<void> to_client(http::ByteStream& client, loop::Event& answered) {
    for (;;) {
      auto piece = co_await exchange_->next();
      if (!piece) break;  // without a last chunk: the client sees that the answer was cut
      const bool last = piece->empty();
      std::string bytes = framed(std::move(*piece), chunked_);
      if (!bytes.empty() && !co_await client.write(std::move(bytes))) break;
      if (last) break;
    }
    answered.notify();
    co_return Status{};
  }
  Hold exchange_;
  Upload upload_;
  bool chunked_;
};

}  // namespace

Task<http::Response> ask_guest(http::Request& request, GuestTarget target, loop::TaskGroup& background) {
  auto dialled = co_await target.machine->dial(target.port);
  if (!dialled && dialled.error().code == Code::FailedPrecondition) {
    co_return fail(Code::Unavailable, dialled.error().message, cat("is a server running on port ", target.port, "?"));
  }
  CO_TRY(dialled);
  const bool upgrade = request.headers.count("upgrade") > 0 && request.headers.has_token("connection", "upgrade");
  const auto length = request.body->length();
  const bool has_body = !length || *length > 0;
  std::string head = cat(request.method, " ", target.target, " HTTP/1.1\r\nHost: ", target.host, "\r\n");
  const http::Headers passed_on = end_to_end(request.headers, true);
  for (const auto& [name, value] : passed_on.items()) {
    const auto& withheld = target.withheld;
    if (std::find(withheld.begin(), withheld.end(), lower(name)) != withheld.end()) continue;
    head += cat(name, ": ", value, "\r\n");
  }
  for (const auto& [name, value] : target.added.items()) head += cat(name, ": ", value, "\r\n");
  if (!length) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (*length > 0 || request.headers.count("content-length") > 0) {
    head += cat("Content-Length: ", *length, "\r\n");
  }
  head += upgrade ? cat("Connection: Upgrade\r\nUpgrade: ", *request.headers.find("upgrade"), "\r\n\r\n")
                  : "Connection: close\r\n\r\n";

  auto shared = std::make_shared<Exchange>(co_await loop::asio::this_coro::executor, std::move(target.machine),
                                           std::move(*dialled), request.method == "HEAD", std::move(target.on_end));
  Hold exchange(shared);
  CO_TRY(co_await loop::with_deadline(exchange->send(std::move(head)), kSendLimit, "send to the server"));
  auto reading = [](std::shared_ptr<Exchange> held) -> Task<void> { co_return co_await held->read_answer(); };
  background.spawn("answer of a proxied server", reading(shared));
  Upload upload{request.body, !length};
  if (has_body) {
    auto sending = [](std::shared_ptr<Exchange> held) -> Task<void> { co_return co_await held->send_body(); };
    background.spawn("body for a proxied server", sending(shared));
    CO_TRY(co_await send_until_answered(upload, *exchange));
  }
  shared.reset();
  CO_TRY(co_await loop::with_deadline(exchange->wait_for_head(), kAnswerLimit, "wait for the server's answer"));

  http::Parser& parser = exchange->parser();
  http::Response response;
  response.status = parser.head().status;
  response.headers = end_to_end(parser.head().headers, false);
  if (response.status == kSwitching) {
    if (!upgrade) co_return fail(Code::Unavailable, "the server switched to a protocol that nobody asked for");
    const auto* protocol = parser.head().headers.find("upgrade");
    response.headers.add("Connection", "Upgrade");
    response.headers.add("Upgrade", protocol == nullptr ? "websocket" : *protocol);
    response.tunnel = std::make_unique<ProxiedTunnel>(std::move(exchange));
    co_return response;
  }
  const bool bodiless = request.method == "HEAD" || response.status == kNoContent || response.status == kNotModified;
  if (has_body && !upload.done() && !exchange->wants_no_more() && !bodiless) {
    const auto size = parser.content_length();
    const bool chunked = !size && request.minor_version > 0;
    response.headers.add("Connection", "close");
    if (size) response.headers.add("Content-Length", std::to_string(*size));
    if (chunked) response.headers.add("Transfer-Encoding", "chunked");
    response.tunnel = std::make_unique<Duplex>(std::move(exchange), std::move(upload), chunked);
    co_return response;
  }
  response.source_length = parser.content_length();
  response.source = std::make_unique<ProxiedBody>(std::move(exchange));
  co_return response;
}

}  // namespace cofferdam::api

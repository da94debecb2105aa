#include "api/guest_http.h"

#include <algorithm>
#include <array>
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
constexpr std::size_t kMaxHeld = 512U << 10;  // of an answer that its reader has not taken
constexpr std::chrono::milliseconds kSendLimit = std::chrono::minutes(1);
constexpr std::chrono::milliseconds kAnswerLimit = std::chrono::minutes(10);
constexpr int kSwitching = 101;
constexpr int kFirstFinal = 200;
constexpr int kFirstError = 400;

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
  Exchange(const loop::asio::any_io_executor& executor, std::unique_ptr<vm::GuestConnection> connection, bool head_only,
           OnEnd on_end)
      : connection_(std::move(connection)),
        on_end_(std::move(on_end)),
        kind_(head_only ? http::MessageKind::response_to_head : http::MessageKind::response),
        parser_(kind_, kMaxHead),
        head_ready_(executor),
        arrived_(executor),
        room_(executor),
        leave_(executor) {}

  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    if (on_end_) on_end_(received_, sent_);
  }

  vm::GuestConnection& connection() { return *connection_; }
  Task<void> send(std::string bytes) {
    sent_ += bytes.size();
    return connection_->write(std::move(bytes));
  }
  // Of a tunnel, which reads for itself.
  Task<std::optional<std::string>> receive() {
    auto piece = co_await connection_->read();
    if (piece && *piece) received_ += (*piece)->size();
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
    co_return Status{};
  }

 private:
  [[nodiscard]] bool done() const { return switched_ || (head_done_ && parser_.done()) || closed_; }

  Status take(const std::optional<std::string>& piece) {
    if (!piece) {
      closed_ = true;
      return parser_.put_end();
    }
    received_ += piece->size();
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

  std::unique_ptr<vm::GuestConnection> connection_;
  OnEnd on_end_;
  std::uint64_t sent_ = 0, received_ = 0;
  http::MessageKind kind_;
  http::Parser parser_;
  loop::Event head_ready_, arrived_, room_, leave_;
  std::string unparsed_;
  std::deque<std::string> held_;
  std::size_t held_bytes_ = 0;
  std::optional<Error> failure_;
  bool head_done_ = false, switched_ = false, closed_ = false, ended_ = false, abandoned_ = false;
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

// The request's body as the server gets it. An error of the client's is one; the server's is not: it may have answered.
Task<void> send_body(http::RequestBody& body, Exchange& exchange, bool chunked) {
  const auto write = [&exchange](std::string bytes) {
    return loop::with_deadline(exchange.send(std::move(bytes)), kSendLimit, "send to the server");
  };
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await body.next());
    if (piece.empty()) break;
    if (exchange.ended()) co_return Status{};
    if (exchange.head_done() && exchange.parser().head().status >= kFirstError) co_return Status{};
    if (chunked) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      std::string size;
      for (std::size_t left = piece.size(); left != 0; left /= 16) size.insert(size.begin(), kDigits[left % 16]);
      piece = cat(size, "\r\n", piece, "\r\n");
    }
    if (!co_await write(std::move(piece))) co_return Status{};
  }
  if (chunked) (void)co_await write("0\r\n\r\n");
  co_return Status{};
}

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

  auto shared = std::make_shared<Exchange>(co_await loop::asio::this_coro::executor, std::move(*dialled),
                                           request.method == "HEAD", std::move(target.on_end));
  Hold exchange(shared);
  CO_TRY(co_await loop::with_deadline(exchange->send(std::move(head)), kSendLimit, "send to the server"));
  auto reading = [](std::shared_ptr<Exchange> held) -> Task<void> { co_return co_await held->read_answer(); };
  background.spawn("answer of a proxied server", reading(std::move(shared)));
  if (has_body) CO_TRY(co_await send_body(*request.body, *exchange, !length));
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
  response.source_length = parser.content_length();
  response.source = std::make_unique<ProxiedBody>(std::move(exchange));
  co_return response;
}

}  // namespace cofferdam::api

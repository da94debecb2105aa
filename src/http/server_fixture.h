// What the tests of this room share: a server on sockets of its own, its handlers, and raw clients. For tests only.
#pragma once
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/text.h"
#include "http/client.h"
#include "http/server.h"
#include "http/stream.h"
#include "http/websocket.h"
#include "loop/run.h"
#include "loop/task_group.h"

namespace cofferdam::http {

using namespace std::chrono_literals;
using Clock = Stream::Clock;

constexpr std::size_t kPiece = 64U << 10;

class CountedSource final : public BodySource {
 public:
  CountedSource(std::size_t pieces, std::size_t* pulled) : left_(pieces), pulled_(pulled) {}
  Task<std::string> next() override {
    if (left_ == 0) co_return std::string{};
    --left_;
    if (pulled_ != nullptr) ++*pulled_;
    co_return std::string(kPiece, static_cast<char>('a' + left_ % 26));
  }

 private:
  std::size_t left_;
  std::size_t* pulled_;
};

class FailingSource final : public BodySource {
 public:
  Task<std::string> next() override {
    if (std::exchange(started_, true)) co_return fail(Code::DataLoss, "the source broke");
    co_return std::string("begin");
  }

 private:
  bool started_ = false;
};

class Echo final : public WebSocketSession {
 public:
  explicit Echo(std::uint16_t* peer_code) : peer_code_(peer_code) {}
  Task<void> run(WebSocket& socket) override {
    for (;;) {
      auto message = co_await socket.read();
      *peer_code_ = socket.peer_close_code();
      if (!message || !*message) co_return Status{};
      if ((*message)->bytes == "bye") co_return co_await socket.close(4001, "told to");
      CO_TRY(co_await socket.write((*message)->kind, std::move((*message)->bytes)));
    }
  }

 private:
  std::uint16_t* peer_code_;
};

// A server on a socket of its own, and everything run on one loop until the task under test has answered.
class Http : public ::testing::Test {
 public:
  Http() {
    std::string pattern = "/tmp/cofferdam-http-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    path_ = dir_ + "/s";
  }
  ~Http() override {
    if (server_) {
      EXPECT_TRUE(run(server_->stop(0ms)));
      server_.reset();
    }
    std::filesystem::remove_all(dir_);
  }

  void make_server(ServerOptions options) {
    auto format = [](const Request&, int status, const Error& error) {
      Response response;
      response.status = status;
      response.body = error.message;
      return response;
    };
    auto handler = [this](Request& request) { return handle(request); };
    server_ = std::make_unique<Server>(io_.get_executor(), options, handler, format);
  }
  void serve(ServerOptions options = {}, AllowPeer allow = {}) {
    make_server(options);
    ASSERT_TRUE(server_->listen_unix(listen_unix(path_, SOCK_STREAM).value(), std::move(allow)));
  }

  // On a port that the kernel chose.
  void serve_tcp(ServerOptions options = {}, AllowPeer allow = {}, const std::string& host = "127.0.0.1",
                 std::shared_ptr<const TlsIdentity> tls = {}) {
    if (!server_) make_server(options);
    auto bound = server_->listen_tcp({host, 0}, std::move(allow), std::move(tls));
    ASSERT_TRUE(bound) << bound.error().message;
    ASSERT_NE(bound->port, 0);
    tcp_.address = *bound;
  }

  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }

  Task<Response> handle(Request& request) {
    ++handled_;
    const std::string what = request.segments.empty() ? "" : request.segments[0];
    Response response;
    if (own_) co_return co_await own_(request);
    if (what == "hello") {
      response.headers.add("X-Evil", "a\r\nInjected: yes");
      response.body = "hello " + request.method;
    } else if (what == "count") {
      std::size_t total = 0;
      for (;;) {
        CO_TRY_ASSIGN(const std::string piece, co_await request.body->next());
        if (piece.empty()) break;
        EXPECT_LE(piece.size(), 2 * kPiece);
        total += piece.size();
      }
      response.body = std::to_string(total);
    } else if (what == "small") {
      CO_TRY_ASSIGN(response.body, co_await request.body->read_all(1000));
    } else if (what == "big") {
      response.source = std::make_unique<CountedSource>(64, &pulled_);
      if (request.find_query("length") != nullptr) response.source_length = 64 * kPiece;
    } else if (what == "broken") {
      response.source = std::make_unique<FailingSource>();
    } else if (what == "missing") {
      co_return fail(Code::NotFound, "nothing here");
    } else if (what == "throw") {
      throw std::runtime_error("a bug");
    } else if (what == "slow") {
      CO_TRY(co_await loop::sleep_for(slow_));
      response.body = "at last";
    } else if (what == "ws") {
      response.websocket = std::make_unique<Echo>(&peer_code_);
      response.headers.add("Sec-WebSocket-Protocol", "echo");
    } else if (what == "peer") {
      response.body = cat(request.peer.local() ? "local " : "remote ", request.peer.address);
    }
    co_return response;
  }

  // A connection without any HTTP of ours on it.
  Task<std::unique_ptr<Stream>> raw_connection(Endpoint to) { co_return co_await connect_to(std::move(to)); }
  // Everything until the server closes. A reset ends it as well.
  static Task<std::string> rest_of(Stream& stream) {
    std::string got(stream.buffered());
    stream.consume(got.size());
    for (;;) {
      auto count = co_await stream.fill(kPiece, Clock::now() + 20s, "receive");
      if (!count && count.error().code == Code::DeadlineExceeded) co_return fail(std::move(count.error()));
      if (!count || *count == 0) co_return got;
      got += stream.buffered();
      stream.consume(stream.buffered().size());
    }
  }
  // Until what has come holds `wanted`.
  static Task<std::string> read_until(Stream& stream, std::string wanted) {
    while (stream.buffered().find(wanted) == std::string_view::npos) {
      CO_TRY_ASSIGN(const std::size_t count, co_await stream.fill(kPiece, Clock::now() + 20s, "receive"));
      if (count == 0) co_return fail(Code::Unavailable, cat("closed after: ", stream.buffered()));
    }
    std::string got(stream.buffered());
    stream.consume(got.size());
    co_return got;
  }
  static Task<void> send(Stream& stream, std::string bytes) {
    co_return co_await stream.write(bytes, {}, {}, Clock::now() + 20s, "send");
  }

  // Sends raw bytes, says that no more will come when `half_close`, and gives back everything until the server closes.
  enum class Then { keep_open, half_close };
  Task<std::string> raw(std::string bytes, Then then = Then::half_close) {
    CO_TRY_ASSIGN(auto stream, co_await raw_connection(tcp_.address.port != 0 ? tcp_ : unix_endpoint(path_)));
    (void)co_await send(*stream, std::move(bytes));
    if (then == Then::half_close) stream->shut_down_writing();
    co_return co_await rest_of(*stream);
  }

  struct Answer {
    int status = 0;
    std::string body;
    Headers headers;
  };
  Task<Answer> ask(Client& client, ClientRequest request) {
    CO_TRY_ASSIGN(auto response, co_await client.request(std::move(request)));
    Answer answer;
    answer.status = response->status;
    answer.headers = response->headers;
    CO_TRY_ASSIGN(answer.body, co_await response->read_all(64U << 20));
    co_return answer;
  }
  static ClientRequest get(std::string target) {
    ClientRequest request;
    request.target = std::move(target);
    return request;
  }

  loop::asio::io_context io_;
  std::string dir_, path_;
  Endpoint tcp_;
  std::unique_ptr<Server> server_;
  int handled_ = 0;
  std::size_t pulled_ = 0;
  std::uint16_t peer_code_ = 0;
  std::chrono::milliseconds slow_ = 1h;
  Handler own_;  // instead of the handlers above
};

}  // namespace cofferdam::http

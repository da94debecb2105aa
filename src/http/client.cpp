#include "http/client.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <charconv>

#include "base/text.h"
#include "http/parser.h"
#include "http/stream.h"
#include "http/text_rules.h"

namespace cofferdam::http {
namespace {

using Clock = Stream::Clock;

constexpr std::size_t kMaxAnswerHead = 64U << 10;
constexpr std::size_t kReadSize = 64U << 10;

std::string head_of(const ClientRequest& request, std::string_view host) {
  std::string head = cat(request.method, " ", request.target, " HTTP/1.1\r\n");
  append_header(head, "Host", host);
  for (const auto& [name, value] : request.headers.items()) append_header(head, name, value);
  if (request.source && !request.source_length) {
    append_header(head, "Transfer-Encoding", "chunked");
  } else if (request.source) {
    append_header(head, "Content-Length", std::to_string(*request.source_length));
  } else if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
    append_header(head, "Content-Length", std::to_string(request.body.size()));
  }
  head += "\r\n";
  return head;
}

}  // namespace

struct detail::ClientState {
  ClientState(loop::asio::any_io_executor on, Endpoint to) : executor(std::move(on)), endpoint(std::move(to)) {}

  loop::asio::any_io_executor executor;
  Endpoint endpoint;
  std::unique_ptr<Stream> stream;
  std::optional<Parser> parser;  // of the answer being read
  std::chrono::milliseconds timeout{};
  bool busy = false;  // an answer is not read to its end yet

  void drop() {
    stream.reset();
    parser.reset();
    busy = false;
  }

  // True when the connection was used before.
  Task<bool> ensure_connected() {
    if (busy) drop();
    if (stream && stream->readable()) drop();  // the server has closed it, or says what nobody asked for
    if (stream) co_return true;
    CO_TRY_ASSIGN(stream, co_await connect_to(endpoint));
    co_return false;
  }

  Task<void> send(const ClientRequest& request) {
    constexpr std::string_view what = "send the request";
    const auto soon = [&] { return Clock::now() + timeout; };
    CO_TRY(co_await stream->write(head_of(request, endpoint.host()), request.body, {}, soon(), what));
    if (!request.source) co_return Status{};
    std::uint64_t sent = 0;
    for (;;) {
      CO_TRY_ASSIGN(std::string piece, co_await request.source->next());
      if (piece.empty()) break;
      sent += piece.size();
      if (!request.source_length) {
        char digits[16];
        const auto end = std::to_chars(digits, digits + sizeof digits, piece.size(), 16).ptr;
        const std::string head = std::string(digits, end) + "\r\n";
        CO_TRY(co_await stream->write(head, piece, "\r\n", soon(), what));
        continue;
      }
      if (sent > *request.source_length) co_return fail(Code::DataLoss, "the file has grown while it was sent");
      CO_TRY(co_await stream->write(piece, {}, {}, soon(), what));
    }
    if (!request.source_length) co_return co_await stream->write("0\r\n\r\n", {}, {}, soon(), what);
    if (sent < *request.source_length) co_return fail(Code::DataLoss, "the file has shrunk while it was sent");
    co_return Status{};
  }

  // The head of the answer; interim ones (1xx) are passed over.
  Task<void> receive_head(MessageKind kind) {
    const auto deadline = Clock::now() + timeout;
    parser.emplace(kind, kMaxAnswerHead);
    for (;;) {
      if (!stream->buffered().empty()) {
        auto used = parser->put(stream->buffered());
        if (!used) co_return fail(std::move(used.error()).in("read the answer"));
        stream->consume(*used);
        if (parser->head_done()) {
          const int status = parser->head().status;
          if (status >= 200 || status == 101) co_return Status{};
          parser.emplace(kind, kMaxAnswerHead);
          continue;
        }
      }
      CO_TRY_ASSIGN(const std::size_t count, co_await stream->fill(kReadSize, deadline, "wait for the answer"));
      if (count == 0) co_return fail(Code::Unavailable, "the daemon closed the connection without an answer");
    }
  }

  Task<std::string> next_piece() {
    if (!parser || !stream) co_return fail(Code::Unavailable, "the answer's connection is gone");
    for (;;) {
      if (std::string piece = parser->take_body(); !piece.empty()) co_return piece;
      if (parser->done()) {
        if (!parser->keep_alive()) stream.reset();
        busy = false;
        co_return std::string{};
      }
      if (!stream->buffered().empty()) {
        auto used = parser->put(stream->buffered());
        if (!used) {
          drop();
          co_return fail(std::move(used.error()).in("read the answer"));
        }
        stream->consume(*used);
        if (*used != 0) continue;
        if (stream->buffered().size() > kReadSize) {
          drop();
          co_return fail(Code::DataLoss, "read the answer: the head of a chunk is too long");
        }
      }
      auto count = co_await stream->fill(kReadSize, Clock::now() + timeout, "read the answer");
      if (!count) {
        drop();
        co_return fail(std::move(count.error()));
      }
      if (*count == 0) {
        if (auto ended = parser->put_end(); !ended) {
          drop();
          co_return fail(std::move(ended.error()).in("read the answer"));
        }
      }
    }
  }

  Task<void> exchange(const ClientRequest& request) {
    timeout = request.answer_timeout;
    const Status sent = co_await send(request);
    // A server that refuses early answers first and then stops reading: the answer tells more than the failed write.
    if (!sent && sent.error().code != Code::Unavailable) co_return sent;
    const auto kind = request.method == "HEAD" ? MessageKind::response_to_head : MessageKind::response;
    const Status received = co_await receive_head(kind);
    if (!received && !sent) co_return sent;
    co_return received;
  }
};

ClientResponse::~ClientResponse() {
  // A body that nobody reads would be taken for the next answer.
  if (!ended_) state_->drop();
}

Task<std::string> ClientResponse::next() {
  if (ended_) co_return std::string{};
  auto piece = co_await state_->next_piece();
  if (!piece || piece->empty()) ended_ = true;
  co_return piece;
}

Task<std::string> ClientResponse::read_all(std::size_t max_bytes) {
  std::string all;
  for (;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await next());
    if (piece.empty()) co_return all;
    if (all.size() + piece.size() > max_bytes) {
      co_return fail(Code::OutOfRange, cat("the answer is longer than ", max_bytes, " bytes"));
    }
    all += piece;
  }
}

Client::Client(loop::asio::any_io_executor executor, Endpoint endpoint)
    : state_(std::make_shared<detail::ClientState>(std::move(executor), std::move(endpoint))) {}
Client::Client(loop::asio::any_io_executor executor, std::string socket_path)
    : Client(std::move(executor), unix_endpoint(std::move(socket_path))) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Task<std::unique_ptr<ClientResponse>> Client::request(ClientRequest request) {
  auto state = state_;
  const bool repeatable = !request.source && (request.method == "GET" || request.method == "HEAD");
  CO_TRY_ASSIGN(const bool reused, co_await state->ensure_connected());
  Status done = co_await state->exchange(request);
  if (!done && reused && repeatable && done.error().code == Code::Unavailable) {
    state->drop();
    CO_TRY(co_await state->ensure_connected());
    done = co_await state->exchange(request);
  }
  if (!done) {
    state->drop();
    co_return fail(std::move(done.error()).in(cat(request.method, " ", request.target)));
  }
  state->busy = true;
  std::unique_ptr<ClientResponse> response(new ClientResponse(state));
  response->status = state->parser->head().status;
  response->headers = std::move(state->parser->head().headers);
  co_return response;
}

Task<std::unique_ptr<WebSocket>> Client::websocket(std::string target, Headers headers) {
  CO_TRY_ASSIGN(const auto stream, co_await connect_to(state_->endpoint));
  co_return co_await WebSocket::connect(stream->release(), state_->endpoint.host(), std::move(target),
                                        std::move(headers));
}

namespace {

class FileSource final : public BodySource {
 public:
  explicit FileSource(UniqueFd fd) : fd_(std::move(fd)) {}
  Task<std::string> next() override {
    std::string piece(kReadSize, '\0');
    for (;;) {
      const auto count = ::read(fd_.get(), piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) co_return fail_errno("read the file to send");
      piece.resize(static_cast<std::size_t>(count));
      co_return piece;
    }
  }

 private:
  UniqueFd fd_;
};

class PipeSource final : public BodySource {
 public:
  explicit PipeSource(loop::asio::posix::stream_descriptor in) : in_(std::move(in)) {}
  Task<std::string> next() override {
    std::string piece(kReadSize, '\0');
    auto [ec, count] = co_await in_.async_read_some(loop::asio::buffer(piece), loop::as_result);
    if (ec && ec != loop::asio::error::eof) co_return fail(loop::asio_error("read the input to send", ec));
    piece.resize(count);
    co_return piece;
  }

 private:
  loop::asio::posix::stream_descriptor in_;
};

}  // namespace

Result<FdSource> source_of(const loop::asio::any_io_executor& executor, UniqueFd fd) {
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail_errno("look at the input to send");
  FdSource made;
  if (S_ISDIR(info.st_mode)) return fail(Code::InvalidArgument, "the input to send is a folder");
  if (S_ISREG(info.st_mode)) {
    const off_t at = ::lseek(fd.get(), 0, SEEK_CUR);
    if (at < 0) return fail_errno("look at the input to send");
    made.length = static_cast<std::uint64_t>(info.st_size > at ? info.st_size - at : 0);
    made.source = std::make_unique<FileSource>(std::move(fd));
    return made;
  }
  loop::asio::posix::stream_descriptor in(executor);
  boost::system::error_code ec;
  (void)in.assign(fd.get(), ec);
  // What epoll does not take, such as /dev/null, never blocks.
  if (ec) {
    made.source = std::make_unique<FileSource>(std::move(fd));
    return made;
  }
  (void)fd.release();
  made.source = std::make_unique<PipeSource>(std::move(in));
  return made;
}

}  // namespace cofferdam::http

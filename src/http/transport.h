// A connected stream socket, with or without TLS on it, as Asio and Beast know a stream.
#pragma once
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/compose.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <string>

#include "http/tls.h"
#include "loop/task.h"

namespace cofferdam::http {

using StreamSocket = loop::asio::generic::stream_protocol::socket;

// One read and one write at a time; both at once is fine. With TLS the handshake comes first (see Stream::handshake).
// Moved only while nothing runs.
class Transport {
 public:
  using executor_type = StreamSocket::executor_type;
  template <class Token>
  using Answer =
      typename loop::asio::async_result<std::decay_t<Token>, void(boost::system::error_code, std::size_t)>::return_type;

  // NOLINTNEXTLINE(google-explicit-constructor): a socket is a transport without TLS
  Transport(StreamSocket socket) : socket_(std::move(socket)) {}
  Transport(StreamSocket socket, std::unique_ptr<TlsSession> session)
      : socket_(std::move(socket)), tls_(std::make_unique<Tls>(std::move(session))) {}

  executor_type get_executor() { return socket_.get_executor(); }
  StreamSocket& socket() { return socket_; }
  [[nodiscard]] TlsSession* tls() { return tls_ ? tls_->session.get() : nullptr; }

  // What waits to be read; takes nothing away and never blocks.
  enum class Seen { nothing, bytes, end };
  Seen look();
  // Sends what TLS has to say without being asked, as far as the socket takes it at once; `close` also says that
  // nothing more will come.
  enum class Farewell { none, close };
  void flush(Farewell farewell);

  template <class Buffers, class Token>
  Answer<Token> async_read_some(const Buffers& buffers, Token&& token) {
    if (!tls_) return socket_.async_read_some(buffers, std::forward<Token>(token));
    return loop::asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(
        TlsRead{*this, first_of(buffers)}, token, socket_);
  }

  template <class Buffers, class Token>
  Answer<Token> async_write_some(const Buffers& buffers, Token&& token) {
    if (!tls_) return socket_.async_write_some(buffers, std::forward<Token>(token));
    const std::size_t count = encrypt_some(buffers);
    return loop::asio::async_compose<Token, void(boost::system::error_code, std::size_t)>(TlsWrite{*this, count}, token,
                                                                                          socket_);
  }

 private:
  static constexpr std::size_t kIncoming = 17U << 10;   // a record and its head
  static constexpr std::size_t kMostPlain = 64U << 10;  // encrypted at once

  struct Tls {
    explicit Tls(std::unique_ptr<TlsSession> of) : session(std::move(of)) {}
    std::unique_ptr<TlsSession> session;
    std::string plain, outgoing;
    std::array<char, kIncoming> incoming{};
  };

  template <class Buffers>
  static loop::asio::mutable_buffer first_of(const Buffers& buffers) {
    for (auto at = loop::asio::buffer_sequence_begin(buffers); at != loop::asio::buffer_sequence_end(buffers); ++at) {
      if (loop::asio::mutable_buffer(*at).size() != 0) return *at;
    }
    return {};
  }

  // What of `buffers` is in outgoing now.
  template <class Buffers>
  std::size_t encrypt_some(const Buffers& buffers) {
    auto& plain = tls_->plain;
    plain.resize(std::min(loop::asio::buffer_size(buffers), kMostPlain));
    loop::asio::buffer_copy(loop::asio::buffer(plain), buffers);
    tls_->outgoing.clear();
    if (tls_->session->write(plain) != TlsSession::Step::done) return 0;
    tls_->outgoing = tls_->session->take_output();
    return plain.size();
  }

  static boost::system::error_code broken() { return make_error_code(boost::system::errc::protocol_error); }

  struct TlsRead {
    Transport& on;
    loop::asio::mutable_buffer out;
    bool started = false, decided = false;
    boost::system::error_code outcome{};
    std::size_t count = 0;

    // True when the answer is known.
    bool decide() {
      switch (on.tls_->session->read(static_cast<char*>(out.data()), out.size(), count)) {
        case TlsSession::Step::done:
          break;
        case TlsSession::Step::ended:
          outcome = loop::asio::error::eof;
          break;
        case TlsSession::Step::failed:
          outcome = broken();
          break;
        case TlsSession::Step::needs_input:
          return false;
      }
      return decided = true;
    }

    template <class Self>
    void operator()(Self& self, boost::system::error_code ec = {}, std::size_t got = 0) {
      if (decided) return self.complete(outcome, count);
      if (started) {
        // A socket that ends without TLS having said so was cut.
        if (ec) return self.complete(ec == loop::asio::error::eof ? loop::asio::error::connection_reset : ec, 0);
        on.tls_->session->feed({on.tls_->incoming.data(), got});
        if (decide()) return self.complete(outcome, count);
      } else {
        started = true;
        if (out.size() == 0) decided = true;
        // Never from within the call that starts the operation.
        if (decided || decide()) return loop::asio::post(on.get_executor(), std::move(self));
      }
      on.socket_.async_read_some(loop::asio::buffer(on.tls_->incoming), std::move(self));
    }
  };

  struct TlsWrite {
    Transport& on;
    std::size_t count;
    bool started = false;

    template <class Self>
    void operator()(Self& self, boost::system::error_code ec = {}, std::size_t = 0) {
      if (!started) {
        started = true;
        if (on.tls_->outgoing.empty()) return loop::asio::post(on.get_executor(), std::move(self));
        return loop::asio::async_write(on.socket_, loop::asio::buffer(on.tls_->outgoing), std::move(self));
      }
      if (!ec && on.tls_->outgoing.empty() && !on.tls_->session->failure().empty()) ec = broken();
      self.complete(ec, ec ? 0 : count);
    }
  };

  StreamSocket socket_;
  std::unique_ptr<Tls> tls_;
};

}  // namespace cofferdam::http

#include <signal.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/signals.h"
#include "cli/simple_call.h"
#include "http/websocket.h"
#include "loop/event.h"
#include "loop/task_group.h"

namespace cofferdam::cli {
namespace {

using http::WebSocket;
using Tcp = loop::asio::ip::tcp;

constexpr std::size_t kPiece = 32U << 10;
constexpr std::size_t kMostAtOnce = 128;
constexpr std::string_view kEnd = "end";

// One accepted connection and the WebSocket that carries it on.
class Forwarding {
 public:
  Forwarding(Tcp::socket local, std::unique_ptr<WebSocket> remote)
      : local_(std::move(local)), remote_(std::move(remote)), changed_(local_.get_executor()) {}

  Task<void> run() {
    loop::TaskGroup pumps(local_.get_executor());
    pumps.spawn("to the workspace", out());
    pumps.spawn("from the workspace", in());
    Status waited;
    while (waited && !broken_ && !(out_done_ && in_done_)) waited = co_await changed_.wait();
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    boost::system::error_code ignored;
    local_.close(ignored);
    remote_->cut();
    pumps.cancel();
    co_return co_await pumps.join();
  }

 private:
  Task<void> out() {
    std::string buffer(kPiece, '\0');
    for (;;) {
      auto [ec, n] = co_await local_.async_read_some(loop::asio::buffer(buffer), loop::as_result);
      if (ec || n == 0) break;
      if (!co_await remote_->write(WebSocket::Kind::binary, buffer.substr(0, n))) {
        broken_ = true;
        break;
      }
    }
    (void)co_await remote_->write(WebSocket::Kind::text, std::string(kEnd));
    out_done_ = true;
    changed_.notify();
    co_return Status{};
  }
  Task<void> in() {
    for (;;) {
      auto message = co_await remote_->read();
      if (!message || !*message) {
        broken_ = true;
        break;
      }
      if ((*message)->kind == WebSocket::Kind::text) break;  // the end of that side
      auto [ec, n] = co_await loop::asio::async_write(local_, loop::asio::buffer((*message)->bytes), loop::as_result);
      if (ec) {
        broken_ = true;
        break;
      }
    }
    boost::system::error_code ignored;
    local_.shutdown(Tcp::socket::shutdown_send, ignored);
    in_done_ = true;
    changed_.notify();
    co_return Status{};
  }

  Tcp::socket local_;
  std::unique_ptr<WebSocket> remote_;
  loop::Event changed_;
  bool out_done_ = false, in_done_ = false, broken_ = false;
};

class PortForward : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "port-forward"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Reach a port of a workspace from this machine, until interrupted";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("PORTS", ports_, "LOCAL:REMOTE such as 8080:80, or one number for both; LOCAL 0: any free one",
                     Need::required);
    options.value("--address", "ADDRESS", address_, "where to listen (default 127.0.0.1)");
  }
  Status accept() override {
    const auto colon = ports_.find(':');
    TRY_ASSIGN(const auto local, parse_int("LOCAL", std::string_view(ports_).substr(0, colon), 0, 65535));
    local_ = static_cast<std::uint16_t>(local);
    remote_ = local_;
    if (colon != std::string::npos) {
      TRY_ASSIGN(const auto remote, parse_int("REMOTE", std::string_view(ports_).substr(colon + 1), 1, 65535));
      remote_ = static_cast<std::uint16_t>(remote);
    }
    if (remote_ == 0) return fail(Code::InvalidArgument, "REMOTE: must be 1 to 65535");
    boost::system::error_code ec;
    where_ = loop::asio::ip::make_address(address_.empty() ? "127.0.0.1" : address_, ec);
    if (ec) return fail(Code::InvalidArgument, cat("--address: '", address_, "' is no IP address"));
    return {};
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    // Known to be wrong before anybody connects.
    Api api(session);
    auto known = co_await api.get(workspace_target(workspace_));
    if (!known) co_return session.failed(known.error());
    Tcp::acceptor acceptor(session.executor());
    boost::system::error_code ec;
    const Tcp::endpoint endpoint(where_, local_);
    acceptor.open(endpoint.protocol(), ec);
    if (!ec) acceptor.set_option(Tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor.bind(endpoint, ec);
    if (!ec) acceptor.listen(loop::asio::socket_base::max_listen_connections, ec);
    if (ec) {
      auto error = loop::asio_error(cat("listen on ", where_.to_string(), ":", local_), ec);
      co_return session.failed(error);
    }
    const auto port = acceptor.local_endpoint().port();
    if (session.json()) {
      session.print_json({{"address", where_.to_string()}, {"port", port}, {"remote_port", remote_}});
    } else {
      session.print(
          cat("forwarding ", where_.to_string(), ":", port, " to port ", remote_, " of ", printable(workspace_), "\n"));
    }
    loop::TaskGroup connections(session.executor());
    SignalWatch signals(session.executor());
    loop::TaskGroup watch(session.executor());
    watch.spawn("signals", stop_at_signal(signals, acceptor));
    while (acceptor.is_open()) {
      auto [failed, local] = co_await acceptor.async_accept(loop::as_result);
      if (failed) {
        if (!acceptor.is_open()) break;
        (void)co_await loop::sleep_for(std::chrono::milliseconds(100));  // too many descriptors, or gone already
        continue;
      }
      if (connections.size() >= kMostAtOnce) continue;  // closed by its end of life
      connections.spawn("forwarded connection", carry(session, std::move(local)));
    }
    connections.cancel();
    (void)co_await connections.join();
    watch.cancel();
    (void)co_await watch.join();
    co_return kDone;
  }

  static Task<void> stop_at_signal(SignalWatch& signals, Tcp::acceptor& acceptor) {
    for (;;) {
      CO_TRY_ASSIGN(const int signal, co_await signals.next());
      if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) break;
    }
    boost::system::error_code ignored;
    acceptor.close(ignored);
    co_return Status{};
  }

  Task<void> carry(Session& session, Tcp::socket local) {
    Api api(session);
    auto remote = co_await api.socket(workspace_target(workspace_, cat("/ports/", remote_)), "");
    if (!remote) {
      session.note(printable(remote.error().message));
      co_return Status{};
    }
    Forwarding forwarding(std::move(local), std::move(*remote));
    co_return co_await forwarding.run();
  }

  std::string workspace_, ports_, address_;
  std::uint16_t local_ = 0, remote_ = 0;
  loop::asio::ip::address where_;
};

}  // namespace

CommandPtr make_port_forward() { return std::make_unique<PortForward>(); }

}  // namespace cofferdam::cli

// One connection to a port of a workspace's loopback, over a WebSocket. It needs no network in the guest.
#include <chrono>
#include <exception>

#include "api/handlers.h"
#include "base/text.h"
#include "http/websocket.h"
#include "loop/event.h"
#include "loop/task_group.h"

namespace cofferdam::api {
namespace {

using http::WebSocket;

constexpr std::uint16_t kNormalClose = 1000;
constexpr std::uint16_t kBrokenClose = 1011;
constexpr std::string_view kEnd = "end";
constexpr std::size_t kMaxPiece = 32U << 10;
constexpr std::chrono::seconds kKeepAlive{30};

// Binary messages are the connection's bytes; the text "end" says that no more come from that side.
class Forwarded final : public http::WebSocketSession {
 public:
  Forwarded(std::shared_ptr<vm::Machine> machine, std::unique_ptr<vm::GuestConnection> connection,
            std::function<void(std::uint64_t, std::uint64_t)> on_end)
      : machine_(std::move(machine)), connection_(std::move(connection)), on_end_(std::move(on_end)) {}
  ~Forwarded() override { on_end_(received_, sent_); }

  Task<void> run(WebSocket& socket) override {
    const auto executor = co_await loop::asio::this_coro::executor;
    loop::TaskGroup pumps(executor);
    loop::Event changed(executor);
    pumps.spawn("keep-alive of a forwarded port", socket.keep_alive(kKeepAlive));
    pumps.spawn("forwarded port, inwards", inwards(socket, changed));
    pumps.spawn("forwarded port, outwards", outwards(socket, changed));
    std::exception_ptr thrown;
    try {
      while (!lost_ && !(in_done_ && out_done_)) {
        if (!co_await changed.wait()) break;  // called away: the pumps end first
      }
    } catch (...) {
      thrown = std::current_exception();
    }
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    if (!lost_ && thrown == nullptr) (void)co_await socket.close(broken_ ? kBrokenClose : kNormalClose);
    socket.cut();
    pumps.cancel();
    (void)co_await pumps.join();
    if (thrown) std::rethrow_exception(thrown);
    co_return Status{};
  }

 private:
  Task<void> inwards(WebSocket& socket, loop::Event& changed) {
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) {
        lost_ = true;
        break;
      }
      if ((*message)->kind == WebSocket::Kind::text) {
        if ((*message)->bytes == kEnd) break;
        continue;
      }
      sent_ += (*message)->bytes.size();
      if (!co_await connection_->write(std::move((*message)->bytes))) {
        broken_ = true;
        break;
      }
    }
    (void)co_await connection_->shut_down_writing();
    in_done_ = true;
    changed.notify();
    // The client's going is still to be noticed.
    while (!lost_) {
      auto message = co_await socket.read();
      if (!message || !*message) lost_ = true;
    }
    changed.notify();
    co_return Status{};
  }
  Task<void> outwards(WebSocket& socket, loop::Event& changed) {
    for (;;) {
      auto piece = co_await connection_->read();
      if (!piece) broken_ = true;
      if (!piece || !*piece) break;
      received_ += (*piece)->size();
      const std::string bytes = std::move(**piece);
      bool taken = true;
      for (std::size_t at = 0; taken && at < bytes.size(); at += kMaxPiece) {
        taken = (co_await socket.write(WebSocket::Kind::binary, bytes.substr(at, kMaxPiece))).has_value();
      }
      if (!taken) break;
    }
    (void)co_await socket.write(WebSocket::Kind::text, std::string(kEnd));
    out_done_ = true;
    if (broken_) in_done_ = true;
    changed.notify();
    co_return Status{};
  }

  std::shared_ptr<vm::Machine> machine_;  // in use until this has ended
  std::unique_ptr<vm::GuestConnection> connection_;
  std::function<void(std::uint64_t, std::uint64_t)> on_end_;
  std::uint64_t received_ = 0, sent_ = 0;
  bool in_done_ = false, out_done_ = false, lost_ = false, broken_ = false;
};

}  // namespace

Task<http::Response> open_port(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto number, parse_int("the port", call.params.at(1), 1, 65535));
  const auto port = static_cast<std::uint16_t>(number);
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  auto dialled = co_await machine->dial(port);
  if (!dialled && dialled.error().code == Code::FailedPrecondition) {
    co_return fail(Code::Unavailable, dialled.error().message, cat("is a server running on port ", port, "?"));
  }
  CO_TRY(dialled);
  net::Flow flow;
  flow.workspace = call.id();
  flow.kind = "ingress";
  flow.name = "port-forward";
  flow.port = port;
  flow.peer = call.who().id;
  flow.event = "closed";
  flow.reason = "ended";
  const auto began = std::chrono::system_clock::now();
  flow.time_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(began.time_since_epoch()).count());
  auto on_end = [&services, flow, began](std::uint64_t received, std::uint64_t sent) {
    net::Flow ended = flow;
    ended.bytes_out = received;
    ended.bytes_in = sent;
    ended.duration_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now() - began).count());
    services.networks.keep(std::move(ended));
  };
  http::Response response;
  response.websocket = std::make_unique<Forwarded>(std::move(machine), std::move(*dialled), std::move(on_end));
  co_return response;
}

}  // namespace cofferdam::api

// All terminals and watchers of a workspace over one WebSocket: binary frames are a terminal's id and its bytes, text
// frames are JSON.
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <exception>
#include <type_traits>

#include "api/runtime_call.h"
#include "base/log.h"
#include "base/text.h"
#include "base/utf8.h"
#include "http/websocket.h"
#include "loop/deadline.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using http::WebSocket;

constexpr std::uint16_t kGoingAway = 1001;
constexpr std::uint16_t kTryAgain = 1013;
constexpr std::chrono::milliseconds kWriteLimit = std::chrono::seconds(30);
constexpr int kMaxSize = 4096;
constexpr int kLastId = 255;

std::string_view op_text(vm::ChangeOp op) {
  switch (op) {
    case vm::ChangeOp::create:
      return "create";
    case vm::ChangeOp::write:
      return "write";
    case vm::ChangeOp::remove:
      return "remove";
    case vm::ChangeOp::rename:
      return "rename";
    case vm::ChangeOp::unknown:
      break;
  }
  return "unknown";
}

WebSocket::Message text(const json::object& object) { return {WebSocket::Kind::text, json::serialize(object)}; }

struct ToMessage {
  WebSocket::Message operator()(const runtime::TerminalOutput& output) const {
    std::string frame(1, static_cast<char>(output.id));
    return {WebSocket::Kind::binary, frame + output.bytes};
  }
  WebSocket::Message operator()(const runtime::TerminalExit& exit) const {
    return text({{"channel", "terminal"}, {"type", "exit"}, {"id", std::to_string(exit.id)}, {"code", exit.code}});
  }
  WebSocket::Message operator()(const runtime::WatcherReady& ready) const {
    return text({{"channel", "watcher"},
                 {"type", "ready"},
                 {"watcher_id", ready.id},
                 {"root", to_utf8(ready.root)},
                 {"dirs", ready.folders}});
  }
  WebSocket::Message operator()(const runtime::WatcherChange& change) const {
    return text({{"channel", "watcher"},
                 {"type", "change"},
                 {"watcher_id", change.id},
                 {"path", to_utf8(change.path)},
                 {"op", op_text(change.op)}});
  }
  WebSocket::Message operator()(const runtime::WatcherOverflow& overflow) const {
    return text(
        {{"channel", "watcher"}, {"type", "overflow"}, {"watcher_id", overflow.id}, {"message", overflow.message}});
  }
};

// A whole number given as a number or as text; 0 when it is neither.
int number_of(const json::object& object, std::string_view field, int max) {
  const json::value* value = object.if_contains(field);
  if (value == nullptr) return 0;
  if (const auto* as_text = value->if_string()) {
    return static_cast<int>(parse_int("number", *as_text, 1, max).value_or(0));
  }
  if (!value->is_number()) return 0;
  const auto number = value->to_number<double>();
  return number >= 1 && number <= max && number == std::floor(number) ? static_cast<int>(number) : 0;
}

class RuntimeSocket final : public http::WebSocketSession {
 public:
  explicit RuntimeSocket(std::shared_ptr<runtime::Session> session) : session_(std::move(session)) {}

  Task<void> run(WebSocket& socket) override {
    const auto executor = co_await loop::asio::this_coro::executor;
    loop::TaskGroup pumps(executor);
    loop::Event done(executor);
    pumps.spawn("runtime socket output", tell(socket, done));
    pumps.spawn("runtime socket input", hear(socket, done));
    std::exception_ptr thrown;
    Status waited;
    try {
      waited = co_await done.wait();
    } catch (...) {
      thrown = std::current_exception();
    }
    // Also when this was cancelled, no pump may outlive the socket.
    co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
    pumps.cancel();
    (void)co_await pumps.join();
    if (thrown) std::rethrow_exception(thrown);
    co_return waited;
  }

 private:
  Task<void> tell(WebSocket& socket, loop::Event& done) {
    auto listener = session_->listen();
    for (;;) {
      auto event = co_await listener.next();
      if (!event || !*event) {
        const bool too_slow = !event && event.error().code == Code::ResourceExhausted;
        (void)co_await socket.close(too_slow ? kTryAgain : kGoingAway,
                                    too_slow ? "too slow; connect again" : "the workspace has ended");
        break;
      }
      auto message = std::visit(ToMessage{}, (*event)->what);
      const Status sent = co_await loop::with_deadline(socket.write(message.kind, std::move(message.bytes)),
                                                       kWriteLimit, "write to a client's socket");
      if (!sent) {
        socket.cut();
        break;
      }
    }
    done.notify();
    co_return Status{};
  }

  Task<void> hear(WebSocket& socket, loop::Event& done) {
    for (;;) {
      const auto message = co_await socket.read();
      if (!message || !*message) break;
      const Status taken =
          (*message)->kind == WebSocket::Kind::binary ? type((*message)->bytes) : control((*message)->bytes);
      // A terminal that is gone is no reason to cut off the others.
      if (!taken) log_debug("a frame of a client was passed over", {{"why", taken.error().message}});
    }
    done.notify();
    co_return Status{};
  }

  Status type(const std::string& bytes) {
    if (bytes.size() < 2) return {};
    return session_->terminals().type(static_cast<std::uint8_t>(bytes[0]), bytes.substr(1));
  }

  Status control(const std::string& bytes) {
    TRY_ASSIGN(const json::value value, model::parse_json(bytes));
    const auto* object = value.if_object();
    if (object == nullptr) return fail(Code::InvalidArgument, "a control frame is an object");
    const auto* channel = object->if_contains("channel");
    if (channel != nullptr && (!channel->is_string() || channel->get_string() != "terminal")) return {};
    const auto* kind = object->if_contains("type");
    if (kind == nullptr || !kind->is_string() || kind->get_string() != "resize") return {};
    const int id = number_of(*object, "id", kLastId);
    const int cols = number_of(*object, "cols", kMaxSize);
    const int rows = number_of(*object, "rows", kMaxSize);
    if (id == 0 || cols == 0 || rows == 0) return fail(Code::InvalidArgument, "a resize without id, cols or rows");
    return session_->terminals().resize(static_cast<std::uint8_t>(id), static_cast<std::uint16_t>(rows),
                                        static_cast<std::uint16_t>(cols));
  }

  std::shared_ptr<runtime::Session> session_;
};

}  // namespace

Task<http::Response> runtime_socket(RuntimeCall& call) {
  http::Response response;
  response.websocket = std::make_unique<RuntimeSocket>(call.session);
  co_return response;
}

}  // namespace cofferdam::api

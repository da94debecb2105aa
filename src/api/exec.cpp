// A command's streams over a WebSocket, with the channels of Kubernetes' remotecommand (v5.channel.k8s.io).
#include <signal.h>

#include <boost/json/serialize.hpp>
#include <chrono>
#include <exception>

#include "api/env_check.h"
#include "api/error_body.h"
#include "api/handlers.h"
#include "api/permission.h"
#include "base/log.h"
#include "base/text.h"
#include "http/websocket.h"
#include "loop/deadline.h"
#include "loop/event.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;
using http::WebSocket;

constexpr std::string_view kProtocol = "v5.channel.k8s.io";
constexpr std::chrono::milliseconds kSpecTimeout = std::chrono::seconds(30);
constexpr std::uint16_t kNormalClose = 1000;
constexpr std::uint16_t kPolicyClose = 1008;
constexpr double kUsPerMs = 1000.0;

// The first byte of every binary frame.
enum class Channel : std::uint8_t {
  input = 0,
  output = 1,
  errors = 2,
  result = 3,
  resize = 4,
  signal = 6,
  close = 255
};

std::string frame(Channel channel, std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + 1);
  text.push_back(static_cast<char>(channel));
  text.append(bytes);
  return text;
}

std::int64_t us_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

// A whole number of a control frame, within what the guest can mean.
Result<int> control_number(const json::object& object, std::string_view field, int min, int max) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number || !(*number >= min) || !(*number <= max)) {
    return fail(Code::InvalidArgument, cat("/", field, ": must be a number from ", min, " to ", max));
  }
  return static_cast<int>(*number);
}

// A cancelled task can await nothing any more, unless it says this first.
auto ignore_cancellation() {
  return loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
}

// One running command between its socket and its process.
class Conversation {
 public:
  Conversation(const loop::asio::any_io_executor& executor, WebSocket& socket, vm::GuestProcess& process,
               Clock::time_point received)
      : socket_(socket), process_(process), received_(received), pumps_(executor), done_(executor) {}

  // Until the process has ended, or its client is gone. No pump runs any more when it returns, even when this task was
  // cancelled; the end of the input is left to finish().
  Task<void> run() {
    pumps_.spawn("exec output", pump_output());
    pumps_.spawn("exec input", pump_input());
    pumps_.spawn("exec watch", watch_client());
    Status waited;
    std::exception_ptr thrown;
    try {
      waited = co_await done_.wait();
    } catch (...) {
      thrown = std::current_exception();
    }
    if (thrown || !waited || client_gone_) {
      co_await ignore_cancellation();
      co_await finish();
    }
    if (thrown) std::rethrow_exception(thrown);
    co_return waited;
  }

  // Ends the pumps. Until then the input is read on, so that the client's close frame is seen. The caller has asked for
  // ignore_cancellation(): pumps that outlive this object would use it.
  loop::asio::awaitable<void> finish() {
    pumps_.cancel();
    (void)co_await pumps_.join();
  }

  [[nodiscard]] bool client_gone() const { return client_gone_; }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  [[nodiscard]] std::optional<Clock::time_point> first_byte() const { return first_byte_; }

 private:
  Task<void> pump_output() {
    for (;;) {
      auto output = co_await process_.read();
      if (!output) failure_ = std::move(output.error());
      if (failure_ || !*output) break;
      if (!first_byte_) first_byte_ = Clock::now();
      const auto channel = (*output)->channel == vm::Channel::stderr_ ? Channel::errors : Channel::output;
      std::string_view bytes = (*output)->bytes;
      Status sent;
      while (sent && !bytes.empty()) {
        const std::string_view piece = bytes.substr(0, WebSocket::kMaxMessageBytes - 1);
        bytes.remove_prefix(piece.size());
        sent = co_await socket_.write(WebSocket::Kind::binary, frame(channel, piece));
      }
      if (!sent) {
        client_gone_ = true;
        break;
      }
    }
    ended_ = true;
    done_.notify();
    co_return Status{};
  }

  Task<void> pump_input() {
    for (;;) {
      auto message = co_await socket_.read();
      if (!message || !*message) break;
      const Status taken = co_await take(**message);
      if (taken || ended_) continue;
      (void)co_await socket_.close(kPolicyClose, taken.error().message);
      break;
    }
    if (!ended_) client_gone_ = true;
    done_.notify();
    co_return Status{};
  }

  // A client that goes while its input is held back: nobody reads then.
  Task<void> watch_client() {
    CO_TRY(co_await socket_.wait_until_lost());
    if (!ended_) client_gone_ = true;
    done_.notify();
    co_return Status{};
  }

  // An error: the client does not keep to the protocol.
  Task<void> take(const WebSocket::Message& message) {
    if (message.kind != WebSocket::Kind::binary || message.bytes.empty()) {
      co_return fail(Code::InvalidArgument, "only the first frame is text, and no frame is empty");
    }
    const std::string_view content = std::string_view(message.bytes).substr(1);
    switch (static_cast<Channel>(static_cast<std::uint8_t>(message.bytes[0]))) {
      case Channel::input: {
        // A command that has closed its stdin takes no more, which is no fault of the client.
        if (!stdin_open_ || content.empty()) co_return Status{};
        const Status given = co_await process_.write(std::string(content));
        stdin_open_ = given.has_value();
        co_return Status{};
      }
      case Channel::close:
        if (content != std::string_view("\0", 1)) co_return Status{};
        stdin_open_ = false;
        (void)co_await process_.close_stdin();
        co_return Status{};
      case Channel::resize:
        co_return resize(content);
      case Channel::signal:
        co_return signal(content);
      default:
        // Channels of a later version are passed over.
        co_return Status{};
    }
  }

  Status resize(std::string_view content) {
    constexpr int kMaxSize = 4096;
    TRY_ASSIGN(const json::value value, model::parse_json(content));
    if (!value.is_object()) return fail(Code::InvalidArgument, "a resize is an object");
    TRY_ASSIGN(const int cols, control_number(value.get_object(), "Width", 1, kMaxSize));
    TRY_ASSIGN(const int rows, control_number(value.get_object(), "Height", 1, kMaxSize));
    (void)process_.resize(static_cast<std::uint16_t>(rows), static_cast<std::uint16_t>(cols));
    return {};
  }

  Status signal(std::string_view content) {
    TRY_ASSIGN(const json::value value, model::parse_json(content));
    if (!value.is_object()) return fail(Code::InvalidArgument, "a signal is an object");
    TRY_ASSIGN(const int number, control_number(value.get_object(), "signal", 1, SIGRTMAX));
    (void)process_.signal(number);
    return {};
  }

  WebSocket& socket_;
  vm::GuestProcess& process_;
  Clock::time_point received_;
  loop::TaskGroup pumps_;
  loop::Event done_;
  std::optional<Clock::time_point> first_byte_;
  std::optional<Error> failure_;
  bool stdin_open_ = true;
  bool ended_ = false;
  bool client_gone_ = false;
};

class ExecSession final : public http::WebSocketSession {
 public:
  ExecSession(workspace::Manager& manager, std::string id, workspace::AfterExec after, model::Origin by)
      : manager_(manager), id_(std::move(id)), after_(after), by_(std::move(by)) {}

  Task<void> run(WebSocket& socket) override {
    auto spec = co_await receive_spec(socket);
    std::unique_ptr<vm::GuestProcess> process;
    Error why;
    if (spec) {
      spec->by = by_;
      auto started = co_await manager_.exec(id_, std::move(*spec), after_);
      if (started) {
        process = std::move(*started);
      } else {
        why = std::move(started.error());
      }
    } else {
      why = std::move(spec.error());
    }
    if (!process) co_return co_await finish(socket, json::object{{"status", "Failure"}, {"error", error_to_json(why)}});

    const auto started_at = Clock::now();
    Conversation conversation(co_await loop::asio::this_coro::executor, socket, *process, received_);
    CO_TRY(co_await conversation.run());
    if (conversation.client_gone()) {
      process.reset();  // which kills it
      CO_TRY(co_await remove_if_asked());
      co_return Status{};
    }
    json::object result = result_of(conversation, *process, started_at);
    Status finished;
    std::exception_ptr thrown;
    try {
      finished = co_await finish(socket, std::move(result));
    } catch (...) {
      thrown = std::current_exception();
    }
    co_await ignore_cancellation();
    co_await conversation.finish();
    if (thrown) std::rethrow_exception(thrown);
    co_return finished;
  }

 private:
  Task<model::ExecSpec> receive_spec(WebSocket& socket) {
    auto first = co_await loop::with_deadline(socket.read(), kSpecTimeout, "wait for the command to run");
    received_ = Clock::now();
    if (!first) co_return fail(std::move(first.error()));
    if (!*first) co_return fail(Code::Cancelled, "the client went away before it said what to run");
    if ((*first)->kind != WebSocket::Kind::text) {
      co_return fail(Code::InvalidArgument, "the first frame must be text: what to run, as JSON");
    }
    CO_TRY_ASSIGN(const json::value value, model::parse_json((*first)->bytes));
    CO_TRY_ASSIGN(auto spec, model::exec_spec_from_json(value));
    CO_TRY(check_env(spec.env, "", value.get_object()));
    co_return spec;
  }

  json::object result_of(const Conversation& conversation, const vm::GuestProcess& process,
                         Clock::time_point started_at) const {
    if (conversation.failure()) return {{"status", "Failure"}, {"error", error_to_json(*conversation.failure())}};
    const auto exit = process.exit_status();
    json::object timings{{"start", us_between(received_, started_at)}, {"total", us_between(received_, Clock::now())}};
    if (conversation.first_byte()) timings["first_byte"] = us_between(received_, *conversation.first_byte());
    return {{"status", exit.code == 0 ? "Success" : "Failure"},
            {"exit", model::exit_status_to_json(exit)},
            {"timings_us", std::move(timings)}};
  }

  // What was removed; empty when nothing was to be.
  Task<json::object> remove_if_asked() {
    if (after_ == workspace::AfterExec::keep) co_return json::object{};
    auto removal = co_await manager_.remove(id_);
    if (!removal && removal.error().code == Code::NotFound) co_return json::object{};
    if (!removal) {
      log_error("a workspace was not removed after its command", {{"id", id_}, {"why", removal.error().message}});
      co_return fail(std::move(removal.error()));
    }
    co_return json::object{{"took_ms", static_cast<double>(removal->took_us) / kUsPerMs}};
  }

  // The last frame and the close; the workspace goes before, so that the client knows that it is gone.
  Task<void> finish(WebSocket& socket, json::object result) {
    auto removed = co_await remove_if_asked();
    if (removed && !removed->empty()) result["destroyed"] = std::move(*removed);
    if (!removed) result["destroy_error"] = error_to_json(removed.error());
    CO_TRY(co_await socket.write(WebSocket::Kind::binary, frame(Channel::result, json::serialize(result))));
    (void)co_await socket.close(kNormalClose);
    co_return Status{};
  }

  workspace::Manager& manager_;
  std::string id_;
  workspace::AfterExec after_;
  model::Origin by_;
  Clock::time_point received_;
};

}  // namespace

Task<http::Response> open_exec_socket(Services& services, Call& call) {
  CO_TRY_ASSIGN(const bool destroy, query_flag(call, "destroy_after"));
  // Who may run commands may not therefore destroy.
  if (destroy) CO_TRY(may(*call.caller, identity::Verb::lifecycle));
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  CO_TRY(co_await services.manager.wake_machine(info.id));
  const auto after = destroy ? workspace::AfterExec::remove : workspace::AfterExec::keep;
  http::Response response;
  response.websocket = std::make_unique<ExecSession>(services.manager, info.id, after, call.who().origin());
  if (call.request.headers.has_token("Sec-WebSocket-Protocol", kProtocol)) {
    response.headers.add("Sec-WebSocket-Protocol", std::string(kProtocol));
  }
  co_return response;
}

}  // namespace cofferdam::api

// Commands as tasks: run to their end, streamed as events, or left running.
#include <boost/json/serialize.hpp>

#include "api/env_check.h"
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "http/late_answer.h"
#include "http/sse.h"
#include "loop/deadline.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using runtime::TaskEvent;
using runtime::TaskInfo;
using runtime::TaskRequest;
using runtime::TaskState;

constexpr std::size_t kMaxWords = 4096;
constexpr std::size_t kMaxExecBody = 2U << 20;
constexpr double kMaxSeconds = 7.0 * 86'400;
constexpr double kMsPerSecond = 1000.0;
constexpr std::chrono::milliseconds kHeartbeat = std::chrono::seconds(15);

std::string_view state_text(TaskState state) {
  switch (state) {
    case TaskState::running:
      return "running";
    case TaskState::exited:
      return "exited";
    case TaskState::failed:
      break;
  }
  return "failed";
}

json::array to_json(const std::vector<std::string>& words) {
  json::array array;
  for (const auto& word : words) array.emplace_back(to_utf8(word));
  return array;
}

json::object to_json(const TaskInfo& task) {
  json::object object{{"id", task.id},
                      {"command", to_json(task.command)},
                      {"status", state_text(task.state)},
                      {"stdout", to_utf8(task.output)},
                      {"stderr", to_utf8(task.errors)},
                      {"created_at", format_rfc3339(task.created_at)},
                      {"started_at", format_rfc3339(task.created_at)}};
  if (task.guest_pid) object["guest_pid"] = *task.guest_pid;
  if (task.exit_code) object["exit_code"] = *task.exit_code;
  if (!task.error.empty()) object["error"] = to_utf8(task.error);
  if (task.ended_at) object["exited_at"] = format_rfc3339(*task.ended_at);
  if (task.ttl) object["ttl_seconds"] = static_cast<double>(task.ttl->count()) / kMsPerSecond;
  if (task.output_lost) object["truncated"] = true;
  return object;
}

Result<std::optional<std::chrono::milliseconds>> seconds_field(const json::object& body, std::string_view field) {
  TRY_ASSIGN(const auto seconds, model::get_number(body, "", field));
  if (!seconds) return std::nullopt;
  if (!(*seconds >= 0) || *seconds > kMaxSeconds) {
    return fail(Code::InvalidArgument, cat("/", field, ": must be a number of seconds, at most a week"));
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(*seconds * kMsPerSecond));
}

Result<runtime::ExecMode> mode_of(const json::object& body) {
  TRY_ASSIGN(const auto text, model::get_string(body, "", "exec_mode"));
  if (!text || *text == "auto") return runtime::ExecMode::auto_;
  if (*text == "shell") return runtime::ExecMode::shell;
  if (*text == "direct") return runtime::ExecMode::direct;
  return fail(Code::InvalidArgument, "/exec_mode: must be auto, shell or direct");
}

Result<TaskRequest> request_of(const json::object& body, model::Stdin otherwise) {
  TaskRequest request;
  TRY_ASSIGN(request.mode, mode_of(body));
  const json::value* words = body.if_contains("cmd");
  if (words == nullptr) words = body.if_contains("command");
  if (words == nullptr) return fail(Code::InvalidArgument, "/cmd: is missing");
  if (const auto* line = words->if_string()) {
    request.command = {std::string(*line)};
    if (request.mode == runtime::ExecMode::auto_) request.mode = runtime::ExecMode::shell;
  } else {
    TRY_ASSIGN(auto texts, texts_field(body, body.contains("cmd") ? "cmd" : "command", kMaxWords));
    if (texts) request.command = std::move(*texts);
  }
  if (request.command.empty() || request.command[0].empty()) return fail(Code::InvalidArgument, "/cmd: is empty");
  TRY_ASSIGN(const auto timeout, seconds_field(body, "timeout_seconds"));
  request.timeout = timeout.value_or(std::chrono::milliseconds{});
  TRY_ASSIGN(request.ttl, seconds_field(body, "ttl_seconds"));
  TRY_ASSIGN(const auto keep, model::get_flag(body, "", "keep_logs"));
  request.keep_logs = keep.value_or(false) ? runtime::KeepLogs::yes : runtime::KeepLogs::no;
  TRY_ASSIGN(request.env, env_field(body));
  TRY(check_env(request.env, "", body));
  TRY_ASSIGN(const auto cwd, model::get_string(body, "", "cwd"));
  request.cwd = cwd.value_or("");
  TRY_ASSIGN(const auto user, model::get_string(body, "", "user"));
  request.user = user.value_or("");
  TRY_ASSIGN(const auto input, model::get_flag(body, "", "stdin"));
  request.stdin_mode = otherwise;
  if (input) request.stdin_mode = *input ? model::Stdin::open : model::Stdin::closed;
  return request;
}

Task<json::object> read_exec_body(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string text, co_await call.request().body->read_all(kMaxExecBody));
  co_return parse_object(text);
}

// The command dies with the request that waits for it.
Task<http::Response> run_to_end(std::shared_ptr<runtime::Session> session, TaskRequest request) {
  CO_TRY_ASSIGN(const std::string id, co_await session->tasks().start(std::move(request)));
  struct KillUnlessDone {
    runtime::Session& session;
    const std::string& id;
    bool done = false;
    KillUnlessDone(runtime::Session& in, const std::string& of) : session(in), id(of) {}
    KillUnlessDone(const KillUnlessDone&) = delete;
    KillUnlessDone& operator=(const KillUnlessDone&) = delete;
    ~KillUnlessDone() {
      if (!done) (void)session.tasks().kill(id);
    }
  };
  KillUnlessDone guard(*session, id);
  CO_TRY_ASSIGN(const TaskInfo task, co_await session->tasks().wait(id));
  guard.done = true;
  co_return answer(to_json(task));
}

std::string event_text(std::string_view name, const json::object& data) {
  // The JSON of a serializer holds no line end, so that this cannot fail.
  return http::sse_event(name, json::serialize(data)).value_or(std::string{});
}

std::string event_text(const TaskEvent& event) {
  switch (event.kind) {
    case TaskEvent::Kind::output:
      return event_text("stdout", {{"data", base64(event.bytes)}});
    case TaskEvent::Kind::errors:
      return event_text("stderr", {{"data", base64(event.bytes)}});
    case TaskEvent::Kind::all: {
      json::object kept;
      if (!event.bytes.empty()) kept["stdout"] = to_utf8(event.bytes);
      if (!event.error_bytes.empty()) kept["stderr"] = to_utf8(event.error_bytes);
      return event_text("output", kept);
    }
    case TaskEvent::Kind::exit:
      break;
  }
  json::object exit{{"exit_code", event.exit_code}, {"status", state_text(event.state)}};
  if (event.guest_pid) exit["pid"] = *event.guest_pid;
  return event_text("exit", exit);
}

// A task's events as they come. When it goes, the task runs on.
class TaskEvents final : public http::BodySource {
 public:
  using Listener = runtime::Hub<TaskEvent>::Listener;
  TaskEvents(std::shared_ptr<runtime::Session> session, std::string first, Listener listener)
      : session_(std::move(session)), first_(std::move(first)), listener_(std::move(listener)) {}
  [[nodiscard]] bool may_wait() const override { return first_.empty() && !listener_.ready(); }
  Task<std::string> next() override {
    if (!first_.empty()) co_return std::exchange(first_, {});
    if (!listener_.ready()) {
      const Status came = co_await loop::with_deadline(listener_.wait(), kHeartbeat, "wait for output");
      if (!came && came.error().code != Code::DeadlineExceeded) co_return fail(came.error());
      if (!listener_.ready()) co_return std::string(": hb\n\n");
    }
    CO_TRY_ASSIGN(const auto event, co_await listener_.next());
    co_return event ? event_text(*event) : std::string{};
  }

 private:
  std::shared_ptr<runtime::Session> session_;
  std::string first_;
  Listener listener_;
};

Result<http::Response> events_of(RuntimeCall& call, const std::string& id) {
  TRY_ASSIGN(const TaskInfo task, call.session->tasks().get(id));
  TRY_ASSIGN(auto listener, call.session->tasks().listen(id));
  std::string first;
  if (task.state == TaskState::running) first = event_text("task_id", {{"task_id", id}});
  http::Response response;
  response.headers.add("Content-Type", std::string(http::kSse));
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("X-Accel-Buffering", "no");
  response.headers.add("X-Task-Id", id);
  response.source = std::make_unique<TaskEvents>(call.session, std::move(first), std::move(listener));
  return response;
}

Task<http::Response> start_stream(RuntimeCall& call, TaskRequest request) {
  CO_TRY_ASSIGN(const std::string id, co_await call.session->tasks().start(std::move(request)));
  co_return events_of(call, id);
}

}  // namespace

Task<http::Response> runtime_exec(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_exec_body(call));
  CO_TRY_ASSIGN(const auto stream, model::get_flag(body, "", "stream"));
  CO_TRY_ASSIGN(const auto background, model::get_flag(body, "", "background"));
  const bool waits = !stream.value_or(false) && !background.value_or(false);
  CO_TRY_ASSIGN(TaskRequest request, request_of(body, waits ? model::Stdin::closed : model::Stdin::open));
  request.by = call.call.who().origin();
  if (stream.value_or(false)) co_return co_await start_stream(call, std::move(request));
  if (background.value_or(false)) {
    CO_TRY_ASSIGN(const std::string id, co_await call.session->tasks().start(std::move(request)));
    CO_TRY_ASSIGN(const TaskInfo task, call.session->tasks().get(id));
    co_return answer(to_json(task));
  }
  http::LateAnswerOptions options;
  options.late_error = late_error_body;
  co_return co_await http::answer_when_ready(call.services.sessions.background(), "command of a client",
                                             run_to_end(call.session, std::move(request)), std::move(options));
}

Task<http::Response> runtime_exec_stream(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_exec_body(call));
  CO_TRY_ASSIGN(TaskRequest request, request_of(body, model::Stdin::open));
  request.by = call.call.who().origin();
  co_return co_await start_stream(call, std::move(request));
}

Task<http::Response> runtime_exec_subscribe(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string id, required_query(call.call, "task_id"));
  co_return events_of(call, id);
}

Task<http::Response> runtime_exec_list(RuntimeCall& call) {
  json::array tasks;
  for (const auto& task : call.session->tasks().list()) tasks.emplace_back(to_json(task));
  co_return answer({{"tasks", std::move(tasks)}});
}

Task<http::Response> runtime_exec_get(RuntimeCall& call) {
  CO_TRY_ASSIGN(const TaskInfo task, call.session->tasks().get(call.call.id()));
  co_return answer(to_json(task));
}

Task<http::Response> runtime_exec_kill(RuntimeCall& call) {
  CO_TRY(call.session->tasks().kill(call.call.id()));
  co_return answer({{"task_id", call.call.id()}});
}

Task<http::Response> runtime_exec_delete_all(RuntimeCall& call) {
  co_return answer({{"deleted", call.session->tasks().kill_all()}});
}

// ?close=1 ends the input behind these bytes.
Task<http::Response> runtime_exec_input(RuntimeCall& call) {
  CO_TRY_ASSIGN(const bool close, query_flag(call.call, "close"));
  CO_TRY(call.session->tasks().get(call.call.id()));
  std::uint64_t written = 0;
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await call.request().body->next());
    if (piece.empty()) break;
    written += piece.size();
    CO_TRY(co_await call.session->tasks().input(call.call.id(), std::move(piece)));
  }
  if (close) CO_TRY(co_await call.session->tasks().close_input(call.call.id()));
  co_return answer({{"bytes_written", written}});
}

}  // namespace cofferdam::api

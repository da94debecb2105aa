#include "cli/exec_stream.h"

#include <signal.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <cstdint>
#include <optional>

#include "base/text.h"
#include "cli/safe_text.h"
#include "cli/stdio.h"
#include "cli/terminal.h"
#include "loop/deadline.h"
#include "loop/task_group.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

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

constexpr std::size_t kMaxPiece = http::WebSocket::kMaxMessageBytes - 1;
constexpr std::size_t kMaxKept = 16U << 20;
constexpr int kSignalsUntilCut = 3;
constexpr auto kSignalTimeout = std::chrono::seconds(2);
constexpr int kSignalBase = 128;

std::string frame(Channel channel, std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + 1);
  text.push_back(static_cast<char>(channel));
  text.append(bytes);
  return text;
}

std::string resize_frame(const WindowSize& size) {
  return frame(Channel::resize, json::serialize(json::object{{"Width", size.cols}, {"Height", size.rows}}));
}

Error lost(std::string_view workspace, std::string_view why) {
  return Error{
      Code::Unavailable,
      cat("the connection to the command in '", workspace, "' was lost before it ended", why.empty() ? "" : ": ", why),
      "the workspace may have reached its TTL (--ttl), been removed, or the daemon may have ended"};
}

}  // namespace

struct ExecStream::Live {
  Live(Session& session, ExecRequest given)
      : request(std::move(given)),
        out(session.executor(), STDOUT_FILENO),
        err(session.executor(), STDERR_FILENO),
        input(session.executor(), STDIN_FILENO),
        group(session.executor()) {}
  ExecRequest request;
  Output out, err;
  Input input;
  loop::TaskGroup group;
  std::unique_ptr<http::WebSocket> socket;
  ExecOutcome outcome;
  bool ended = false;        // the end is known, from the server or by our own will
  bool errors_gone = false;  // nobody reads our stderr
};

Task<ExecOutcome> ExecStream::run(ExecRequest request) {
  Live live(session_, std::move(request));
  auto& spec = live.request.spec;
  const bool terminal = spec.terminal == model::Terminal::yes;
  const auto size = window_size();
  if (terminal && size) {
    spec.rows = size->rows;
    spec.cols = size->cols;
  }
  auto body = model::exec_spec_to_json(spec);
  live.request.env.mark(body);
  std::string text = json::serialize(body);
  if (text.size() > http::WebSocket::kMaxMessageBytes) {
    co_return fail(Code::InvalidArgument,
                   cat("the command line and environment take ", text.size(), " bytes, and at most ",
                       http::WebSocket::kMaxMessageBytes, " may be sent"),
                   "put the arguments into a file: --file, or coffer cp");
  }
  const char* query = live.request.destroy == DestroyAfter::yes ? "/exec/ws?destroy_after=1" : "/exec/ws";
  Api api(session_);
  CO_TRY_ASSIGN(live.socket, co_await api.exec_socket(workspace_target(live.request.workspace, query)));
  CO_TRY(co_await live.socket->write(http::WebSocket::Kind::text, std::move(text)));

  const IgnoreBrokenPipe ignore_broken_pipe;
  std::optional<RawMode> raw;
  if (terminal && spec.stdin_mode == model::Stdin::open && is_terminal(STDIN_FILENO)) {
    CO_TRY_ASSIGN(RawMode entered, RawMode::enter(STDIN_FILENO));
    raw.emplace(std::move(entered));
  }
  if (spec.stdin_mode == model::Stdin::open) live.group.spawn("input", send_input(live));
  live.group.spawn("signals", send_signals(live));
  const Status received = co_await receive(live);
  live.ended = true;
  live.group.cancel();
  (void)co_await live.group.join();
  raw.reset();
  if (!received) co_return fail(received.error());
  co_return std::move(live.outcome);
}

Task<void> ExecStream::send_input(Live& live) {
  for (;;) {
    auto bytes = co_await live.input.read(kMaxPiece);
    if (live.ended) co_return Status{};
    // What cannot be read ends like what has ended; the command decides.
    const bool end = !bytes || bytes->empty();
    if (!bytes) session_.note(bytes.error().message);
    std::string next = end ? frame(Channel::close, std::string(1, '\0')) : frame(Channel::input, *bytes);
    const Status sent = co_await live.socket->write(http::WebSocket::Kind::binary, std::move(next));
    if (end || !sent) co_return Status{};
  }
}

Task<void> ExecStream::send_signals(Live& live) {
  int ends_asked = 0;
  for (;;) {
    CO_TRY_ASSIGN(const int number, co_await signals_.next());
    if (number == SIGWINCH) {
      const auto size = window_size();
      if (live.request.spec.terminal == model::Terminal::no || !size) continue;
      (void)co_await live.socket->write(http::WebSocket::Kind::binary, resize_frame(*size));
      continue;
    }
    // A command that does not read holds back what is sent to it, so that a signal may never arrive: the server ends
    // the command when we go away.
    ++ends_asked;
    Status sent;
    if (ends_asked < kSignalsUntilCut) {
      std::string text = frame(Channel::signal, json::serialize(json::object{{"signal", number}}));
      auto write = live.socket->write(http::WebSocket::Kind::binary, std::move(text));
      sent = co_await loop::with_deadline(std::move(write), kSignalTimeout, "send a signal");
    }
    if (sent && ends_asked < kSignalsUntilCut) {
      if (ends_asked + 1 == kSignalsUntilCut) session_.note("sent the signal again; the next one ends the command");
      continue;
    }
    live.ended = true;
    live.outcome.status = kSignalBase + number;
    live.socket->cut();
    co_return Status{};
  }
}

Task<void> ExecStream::take_output(Live& live, std::string_view bytes, int fd) {
  auto& outcome = live.outcome;
  if (outcome.first_byte.count() == 0) {
    const auto since_start = std::chrono::steady_clock::now() - session_.settings().started_at;
    outcome.first_byte = std::chrono::duration_cast<std::chrono::microseconds>(since_start);
  }
  if (live.request.output == OutputTo::keep) {
    auto& kept = fd == STDOUT_FILENO ? outcome.out : outcome.err;
    const std::size_t room = kMaxKept - kept.size();
    if (bytes.size() > room) outcome.kept_all = false;
    kept.append(bytes.substr(0, room));
    co_return Status{};
  }
  if (fd == STDERR_FILENO && live.errors_gone) co_return Status{};
  const Status written = co_await (fd == STDOUT_FILENO ? live.out : live.err).write(bytes);
  if (written) co_return Status{};
  if (fd == STDERR_FILENO) {
    live.errors_gone = true;
    co_return Status{};
  }
  if (written.error().code != Code::Unavailable) co_return fail(written.error());
  live.ended = true;
  outcome.status = kSignalBase + SIGPIPE;
  live.socket->cut();
  co_return Status{};
}

Task<void> ExecStream::receive(Live& live) {
  for (;;) {
    auto message = co_await live.socket->read();
    if (live.ended) co_return Status{};
    if (!message) co_return fail(lost(live.request.workspace, message.error().message));
    if (!*message) co_return fail(lost(live.request.workspace, ""));
    const std::string_view bytes = (*message)->bytes;
    if (bytes.empty()) continue;
    const auto channel = static_cast<Channel>(static_cast<std::uint8_t>(bytes[0]));
    const auto content = bytes.substr(1);
    if (channel == Channel::output || channel == Channel::errors) {
      CO_TRY(co_await take_output(live, content, channel == Channel::output ? STDOUT_FILENO : STDERR_FILENO));
      if (live.ended) co_return Status{};
      continue;
    }
    if (channel != Channel::result) continue;
    CO_TRY_ASSIGN(json::value value, model::parse_json(content));
    if (!value.is_object())
      co_return fail(Code::Internal, "the daemon's last word about the command is no JSON object");
    auto& report = live.outcome.report = std::move(value.get_object());
    if (!object_field(report, "error").empty()) {
      co_return fail(error_of_answer(0, json::serialize(object_field(report, "error"))));
    }
    CO_TRY_ASSIGN(live.outcome.exit, model::exit_status_from_json(json::value(object_field(report, "exit"))));
    live.outcome.status = live.outcome.exit.timed_out ? kTimedOut : live.outcome.exit.code;
    live.ended = true;
    co_return Status{};
  }
}

json::object exec_json(const ExecOutcome& outcome) {
  json::object object = model::exit_status_to_json(outcome.exit);
  object["exit_code"] = outcome.status;
  const auto put = [&object](const char* name, const std::string& bytes) {
    // JSON holds text only: what is no UTF-8 is given in hexadecimal.
    if (is_utf8(bytes)) {
      object[name] = bytes;
    } else {
      object[cat(name, "_hex")] = to_hex(bytes);
    }
  };
  put("stdout", outcome.out);
  put("stderr", outcome.err);
  object["output_complete"] = outcome.kept_all;
  if (!object_field(outcome.report, "timings_us").empty())
    object["timings_us"] = object_field(outcome.report, "timings_us");
  if (!object_field(outcome.report, "destroyed").empty())
    object["destroyed"] = object_field(outcome.report, "destroyed");
  return object;
}

void explain_end(const Session& session, const ExecOutcome& outcome, const model::ExecSpec& spec) {
  if (outcome.exit.timed_out) {
    session.note(cat("the command was ended at its time-out of ", static_cast<double>(spec.timeout.count()) / 1000,
                     " s (--timeout)"));
  }
  if (outcome.exit.output_limited) {
    session.note(cat("the command was ended because it printed more than ", format_size(spec.max_output_bytes),
                     " (--max-output)"));
  }
  if (outcome.exit.oom_killed) {
    session.note("a process of the command was killed because the workspace ran out of memory (--memory)");
  }
}

}  // namespace cofferdam::cli

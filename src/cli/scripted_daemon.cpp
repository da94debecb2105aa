#include "cli/scripted_daemon.h"

#include <signal.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/text.h"
#include "http/websocket.h"
#include "keys/receipt.h"
#include "model/json.h"

namespace cofferdam::cli {

namespace json = boost::json;
using http::Task;
using http::WebSocket;

namespace {

http::Response answer(json::object object, int status = 200) {
  object["success"] = status < 300;
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = json::serialize(object);
  return response;
}

http::Response refusal(int status, const char* code, std::string message) {
  return answer({{"code", code}, {"error", code}, {"message", std::move(message)}, {"hint", "a hint"}}, status);
}

std::string framed(int channel, std::string_view bytes) { return cat(static_cast<char>(channel), bytes); }

constexpr int kOut = 1;
constexpr int kErr = 2;
constexpr int kResult = 3;

json::object exited(int code) {
  return {{"status", code == 0 ? "Success" : "Failure"},
          {"exit", {{"exit_code", code}, {"signal", 0}, {"timed_out", false}}},
          {"timings_us", {{"start", 10}, {"total", 20}}}};
}

}  // namespace

// One command of the script on its socket.
class ScriptedCommand : public http::WebSocketSession {
 public:
  ScriptedCommand(ScriptedDaemon& daemon, bool destroy) : daemon_(daemon), destroy_(destroy) {}

  Task<void> run(WebSocket& socket) override {
    CO_TRY_ASSIGN(auto first, co_await socket.read());
    if (!first || first->kind != WebSocket::Kind::text) co_return fail(Code::InvalidArgument, "no spec");
    CO_TRY_ASSIGN(const json::value value, model::parse_json(first->bytes));
    CO_TRY_ASSIGN(const model::ExecSpec spec, model::exec_spec_from_json(value));
    daemon_.note(destroy_ ? "exec destroy" : "exec");
    CO_TRY_ASSIGN(json::object result, co_await play(socket, spec));
    if (result.empty()) {
      daemon_.note("gone");
      co_return Status{};
    }
    if (destroy_) result["destroyed"] = {{"took_ms", 1.5}};
    CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kResult, json::serialize(result))));
    co_return co_await socket.close(1000);
  }

 private:
  // Empty: the client went away.
  Task<json::object> play(WebSocket& socket, const model::ExecSpec& spec) {
    const auto& name = spec.argv[0];
    std::string words;
    for (std::size_t i = 1; i < spec.argv.size(); ++i) words += cat(i > 1 ? " " : "", spec.argv[i]);
    if (name == "echo" || name == "warn") {
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(name == "echo" ? kOut : kErr, words + "\n")));
      co_return exited(0);
    }
    if (name == "pwd") {
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, "/work\n")));
      co_return exited(0);
    }
    if (name == "exit") co_return exited(std::atoi(words.c_str()));
    if (name == "env") {
      std::string text;
      for (const auto& item : spec.env) text += item + "\n";
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, text)));
      co_return exited(0);
    }
    if (name == "slow") {
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, "started\n")));
      co_return json::object{{"status", "Failure"}, {"exit", {{"exit_code", 124}, {"timed_out", true}}}};
    }
    if (name == "flood") {
      for (std::size_t left = std::strtoull(words.c_str(), nullptr, 10); left > 0;) {
        const std::size_t piece = std::min<std::size_t>(left, 64U << 10);
        const Status sent = co_await socket.write(WebSocket::Kind::binary, framed(kOut, std::string(piece, 'x')));
        if (!sent) co_return json::object{};
        left -= piece;
      }
      co_return exited(0);
    }
    if (name == "vanish") {
      socket.cut();
      co_return json::object{};
    }
    if (name == "refuse") {
      co_return json::object{
          {"status", "Failure"},
          {"error", {{"code", "failed_precondition"}, {"message", "it is not running"}, {"hint", "start it"}}}};
    }
    co_return co_await converse(socket, spec);
  }

  // The commands that read.
  Task<json::object> converse(WebSocket& socket, const model::ExecSpec& spec) {
    const auto& name = spec.argv[0];
    if (name == "trap" || name == "deaf") {
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, "ready\n")));
    }
    if (name == "deaf") {
      constexpr auto kLong = std::chrono::seconds(20);
      (void)co_await loop::sleep_for(kLong);
      co_return json::object{};
    }
    if (name == "size") {
      CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, cat(spec.rows, "x", spec.cols, "\n"))));
    }
    std::size_t count = 0;
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return json::object{};
      const std::string_view bytes = (*message)->bytes;
      const auto channel = static_cast<unsigned char>(bytes[0]);
      const auto content = bytes.substr(1);
      if (channel == 0) {
        count += content.size();
        if (name == "cat") {
          CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, content)));
        }
      } else if (channel == 255) {
        if (name == "input") {
          CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, cat(count, "\n"))));
        }
        if (name != "size") co_return exited(0);
      } else if (channel == 4) {
        CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, content)));
        co_return exited(4);
      } else if (channel == 6) {
        CO_TRY_ASSIGN(const json::value signal, model::parse_json(content));
        const auto number = signal.at("signal").to_number<int>();
        CO_TRY(co_await socket.write(WebSocket::Kind::binary, framed(kOut, cat("got ", number, "\n"))));
        if (number == SIGTERM) co_return exited(9);
      }
    }
  }

  ScriptedDaemon& daemon_;
  bool destroy_;
};

ScriptedDaemon::ScriptedDaemon() {
  char name[] = "/tmp/cli_daemon-XXXXXX";
  folder_ = ::mkdtemp(name);
  auto handler = [this](http::Request& request) { return handle(request); };
  auto format = [](const http::Request& /*request*/, int status, const Error& error) {
    const auto wire = code_info(error.code).wire_name;
    return refusal(status, std::string(wire).c_str(), error.message);
  };
  server_ = std::make_unique<http::Server>(loop_.get_executor(), http::ServerOptions{}, handler, format);
  auto listening = listen_unix(cat(folder_, "/cofferd.sock"), SOCK_STREAM);
  if (!listening) std::abort();
  if (!server_->listen_unix(std::move(*listening), [](const http::Peer& /*peer*/) { return Status{}; })) std::abort();
  thread_ = std::thread([this] { loop_.run(); });
}

ScriptedDaemon::~ScriptedDaemon() {
  const auto stopped = [](const std::exception_ptr& /*thrown*/, const Status& /*status*/) {};
  loop::asio::co_spawn(loop_, server_->stop(std::chrono::milliseconds(50)), stopped);
  thread_.join();
  (void)remove_tree(folder_);
}

std::vector<std::string> ScriptedDaemon::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::string ScriptedDaemon::body_of(const std::string& request) const {
  const std::lock_guard lock(mutex_);
  const auto found = bodies_.find(request);
  return found == bodies_.end() ? "" : found->second;
}

void ScriptedDaemon::put_file(const std::string& path, const std::string& content) {
  const std::lock_guard lock(mutex_);
  files_[path] = content;
}

std::string ScriptedDaemon::file(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? "<absent>" : found->second;
}

void ScriptedDaemon::set_listing(const std::string& path, const std::string& entries_json) {
  const std::lock_guard lock(mutex_);
  listings_[path] = entries_json;
}

void ScriptedDaemon::note(std::string what) {
  const std::lock_guard lock(mutex_);
  seen_.push_back(std::move(what));
}

Task<http::Response> ScriptedDaemon::handle(http::Request& request) {
  constexpr std::size_t kMaxBody = 1U << 20;
  const std::string path = request.target.substr(0, request.target.find('?'));
  const std::string what = cat(request.method, " ", path);
  note(what);
  const auto& parts = request.segments;
  if (parts.size() > 2 && parts[2] == "files") co_return co_await handle_files(request);
  CO_TRY_ASSIGN(std::string body, co_await request.body->read_all(kMaxBody));
  {
    const std::lock_guard lock(mutex_);
    bodies_[what] = body;
  }
  constexpr auto kPoll = std::chrono::milliseconds(5);
  while (what == "POST /workspace" && hold_creates_) CO_TRY(co_await loop::sleep_for(kPoll));
  if (what == "GET /host") co_return answer({{"pid", 1}, {"version", "test"}});
  if (what == "POST /workspace") {
    co_return answer({{"workspace", {{"id", "ws_1"}, {"name", "a"}, {"from_pool", true}}}}, 201);
  }
  if (what == "GET /workspace") {
    co_return answer(
        {{"workspaces", {{{"id", "ws_1"}, {"name", "evil\033[2J"}, {"status", "running"}}}}, {"total", 1}});
  }
  if (parts.size() >= 2 && parts[1] == "images") {
    http::Response response;
    response.headers.add("Content-Type", "application/x-ndjson");
    const bool fine = parts.size() > 2 && parts[2] == "minimal";
    response.body = "{\"event\":\"progress\",\"stage\":\"packages\",\"detail\":\"apt\\u001b[2J\",\"fraction\":0.5}\n";
    response.body +=
        fine ? "{\"event\":\"done\",\"image\":{\"image\":\"minimal\",\"size\":1048576,\"id\":\"abc\"}}\n"
             : "{\"event\":\"error\",\"code\":\"not_found\",\"message\":\"no such recipe\",\"hint\":\"look\"}\n";
    co_return response;
  }
  if (parts.front() == "tokens" && request.method == "GET") {
    co_return answer({{"tokens", {{{"id", "tok_1"}, {"kind", "control"}, {"verbs", {"read", "exec"}}}}}});
  }
  if (parts.front() == "tokens") co_return answer({{"token", "cof_ctl_told"}, {"id", "tok_1"}});
  if (parts.front() == "receipts") {
    keys::ErasureFacts facts;
    facts.workspace_id = "ws_gone";
    facts.key_id = "key_gone";
    const auto receipt = keys::make_receipt(facts, SecureBytes::copy_of(kReceiptKey), std::chrono::system_clock::now());
    CO_TRY_ASSIGN(const json::value shown, model::parse_json(receipt.text));
    if (parts.size() > 1) co_return answer(shown.as_object());
    co_return answer({{"receipts", {shown}}});
  }
  if (parts.front() == "secrets" || parts.front() == "namespaces" || parts.front() == "webhooks") {
    co_return answer({{"data", {{"slug", "team-a"}}}, {"webhook", {{"id", 7}}}});
  }
  if (parts.size() == 5 && parts[2] == "logs" && parts[3] == "stream") {
    http::Response response;
    response.headers.add("Content-Type", "text/event-stream");
    response.body = ": hb\n\ndata: {\"timestamp\":\"T\",\"message\":\"started\\u001b[2J\"}\n\n";
    co_return response;
  }
  if (parts.size() >= 2 && parts[1] != "ws_1")
    co_return refusal(404, "not_found", cat("no workspace '", parts[1], "'"));
  if (parts.size() == 4 && parts[2] == "exec") {
    const auto* destroy = request.find_query("destroy_after");
    http::Response response;
    response.websocket = std::make_unique<ScriptedCommand>(*this, destroy != nullptr && *destroy == "1");
    response.headers.add("Sec-WebSocket-Protocol", "v5.channel.k8s.io");
    co_return response;
  }
  co_return answer({{"workspace", {{"id", "ws_1"}}}});
}

Task<http::Response> ScriptedDaemon::handle_files(http::Request& request) {
  const auto* path = request.find_query("path");
  const auto& verb = request.segments[3];
  if (verb == "mkdir") {
    CO_TRY_ASSIGN(const std::string body, co_await request.body->read_all(64U << 10));
    CO_TRY_ASSIGN(const json::value value, model::parse_json(body));
    put_file(cat(std::string(value.at("path").as_string()), "/"), "");
    co_return answer({});
  }
  if (path == nullptr) co_return refusal(400, "invalid_argument", "no path");
  if (request.method == "PUT") {
    CO_TRY_ASSIGN(std::string body, co_await request.body->read_all(64U << 20));
    put_file(*path, body);
    const auto* mode = request.find_query("mode");
    put_file(cat(*path, " mode"), mode == nullptr ? "" : *mode);
    co_return answer({{"size", body.size()}});
  }
  const std::string content = file(*path);
  const bool folder = file(cat(*path, "/")) != "<absent>" || listings_.contains(*path);
  if (content == "<absent>" && !folder) co_return refusal(404, "not_found", cat("there is no '", *path, "'"));
  if (verb == "stat") {
    co_return answer(
        {{"type", folder ? "directory" : "file"}, {"size", content.size()}, {"mode", folder ? "0755" : "0640"}});
  }
  if (verb == "list") {
    CO_TRY_ASSIGN(json::value entries, model::parse_json(listings_[*path]));
    co_return answer({{"entries", std::move(entries)}});
  }
  http::Response response;
  response.body = content;
  co_return response;
}

}  // namespace cofferdam::cli

// What the runtime says about itself.
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/utf8.h"
#include "loop/deadline.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr int kProtocolVersion = 1;
constexpr std::chrono::milliseconds kAskLimit = std::chrono::seconds(5);
constexpr std::size_t kMaxAnswer = 4096;

json::array capabilities() { return {"exec", "files", "search", "terminals", "watchers", "ws", "transfer", "proxy"}; }

Task<std::string> output_of(std::unique_ptr<vm::GuestProcess> process) {
  std::string text;
  for (;;) {
    CO_TRY_ASSIGN(const auto piece, co_await process->read());
    if (!piece) co_return text;
    if (piece->channel == vm::Channel::stdout_ && text.size() + piece->bytes.size() <= kMaxAnswer) {
      text += piece->bytes;
    }
  }
}

// Home, shell and architecture as a command of the guest sees them; empty lines where it does not say.
Task<std::vector<std::string>> ask_guest(RuntimeCall& call) {
  model::ExecSpec spec;
  spec.by = call.call.who().origin();
  spec.via = "runtime";
  spec.argv = {"/bin/sh", "-c", R"(printf '%s\n%s\n' "$HOME" "$SHELL"; uname -m)"};
  spec.timeout = kAskLimit;
  CO_TRY_ASSIGN(auto process, co_await call.session->start(std::move(spec)));
  CO_TRY_ASSIGN(const std::string text,
                co_await loop::with_deadline(output_of(std::move(process)), 2 * kAskLimit, "ask the guest"));
  auto lines = split(text, '\n');
  lines.resize(3);
  co_return lines;
}

Task<json::object> describe(RuntimeCall& call) {
  CO_TRY_ASSIGN(const auto info, call.services.manager.get(call.session->workspace_id()));
  const auto asked = co_await ask_guest(call);
  const auto said = [&](std::size_t line, std::string_view otherwise) {
    return asked && !(*asked)[line].empty() ? to_utf8((*asked)[line]) : std::string(otherwise);
  };
  co_return json::object{{"os", "linux"},
                         {"arch", said(2, "x86_64")},
                         {"cpus", info.spec.shape().vcpus},
                         {"home", said(0, "/root")},
                         {"shell", said(1, "/bin/sh")},
                         {"protocol_version", kProtocolVersion},
                         {"capabilities", capabilities()}};
}

}  // namespace

Task<http::Response> runtime_health(RuntimeCall&) { co_return answer({{"status", "ok"}}); }

Task<http::Response> runtime_info(RuntimeCall& call) {
  CO_TRY_ASSIGN(json::object described, co_await describe(call));
  co_return answer(std::move(described));
}

Task<http::Response> runtime_targets(RuntimeCall& call) {
  CO_TRY_ASSIGN(json::object described, co_await describe(call));
  json::object local{{"id", "local"},
                     {"local", true},
                     {"available", true},
                     {"version", kProtocolVersion},
                     {"capabilities", capabilities()},
                     {"runtime", std::move(described)}};
  co_return answer({{"version", kProtocolVersion},
                    {"capabilities", capabilities()},
                    {"default_target", "local"},
                    {"aliases", json::object{}},
                    {"targets", json::array{std::move(local)}}});
}

Task<http::Response> runtime_desktop_status(RuntimeCall&) {
  co_return answer({{"supported", false},
                    {"enabled", false},
                    {"available", false},
                    {"credentials", false},
                    {"transports", json::array{}}});
}

Task<http::Response> runtime_desktop_unsupported(RuntimeCall& call) {
  co_return not_supported(call.call, "workspaces have no desktop", "use terminals, or a server behind /proxy");
}

}  // namespace cofferdam::api

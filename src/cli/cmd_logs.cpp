#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "cli/terminal.h"

#include <unistd.h>

namespace cofferdam::cli {
namespace {

constexpr std::size_t kMaxLog = 1U << 20;

class Logs : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "logs"; }
  [[nodiscard]] std::string_view summary() const override { return "Print the last of a workspace's console"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--source", "SOURCE", source_,
                  "boot: what became of it, cmd: output that was kept (default: console)");
    options.flag("-f,--follow", follow_, "go on with each line that comes (of a --source)");
  }
  Status accept() override {
    if (follow_ && source_.empty()) source_ = "boot";
    if (source_.empty() || source_ == "boot" || source_ == "cmd") return {};
    return fail(Code::InvalidArgument, "--source: must be boot or cmd");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    if (!source_.empty()) co_return co_await lines(session);
    Api api(session);
    http::ClientRequest request;
    request.target = workspace_target(workspace_, "/logs/boot");
    auto response = co_await api.open(std::move(request));
    if (!response) co_return session.failed(response.error());
    auto text = co_await (*response)->read_all(kMaxLog);
    if (!text) co_return session.failed(text.error());
    if (session.json()) {
      session.print_json({{"workspace", workspace_}, {"log", printable_lines(*text)}});
    } else {
      // A file or pipe gets the bytes; a terminal must not obey them.
      session.print(is_terminal(STDOUT_FILENO) ? printable_console(*text) : *text);
    }
    co_return kDone;
  }

  Task<int> lines(Session& session) {
    Api api(session);
    const auto show = [&session](const boost::json::object& line) {
      if (session.json()) {
        session.print_json(line);
      } else {
        session.print(cat(printable(text_field(line, "timestamp")), " ", printable(text_field(line, "message")), "\n"));
      }
    };
    if (!follow_) {
      auto answer = co_await api.get(workspace_target(workspace_, cat("/logs?source=", source_)));
      if (!answer) co_return session.failed(answer.error());
      for (const auto& line : array_field(*answer, "logs")) {
        if (line.is_object()) show(line.get_object());
      }
      co_return kDone;
    }
    http::ClientRequest request;
    request.target = workspace_target(workspace_, cat("/logs/stream/", source_, "?tail_lines=100"));
    auto response = co_await api.open(std::move(request));
    if (!response) co_return session.failed(response.error());
    const auto followed = co_await follow_events(**response, show);
    co_return followed ? kDone : session.failed(followed.error());
  }

  // The console ends its lines with "\r\n".
  static std::string printable_console(std::string_view text) {
    std::string plain;
    for (const char c : text) {
      if (c != '\r') plain.push_back(c);
    }
    return printable_lines(plain);
  }
  std::string workspace_, source_;
  bool follow_ = false;
};

}  // namespace

CommandPtr make_logs() { return std::make_unique<Logs>(); }

}  // namespace cofferdam::cli

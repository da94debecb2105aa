#include "cli/api.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/terminal.h"

#include <unistd.h>

namespace cofferdam::cli {
namespace {

constexpr std::size_t kMaxLog = 1U << 20;

class Logs : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "logs"; }
  [[nodiscard]] std::string_view summary() const override { return "Print the last of a workspace's console"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
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

  // The console ends its lines with "\r\n".
  static std::string printable_console(std::string_view text) {
    std::string plain;
    for (const char c : text) {
      if (c != '\r') plain.push_back(c);
    }
    return printable_lines(plain);
  }
  std::string workspace_;
};

}  // namespace

CommandPtr make_logs() { return std::make_unique<Logs>(); }

}  // namespace cofferdam::cli

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/workspace_view.h"

namespace cofferdam::cli {
namespace {

class List : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the workspaces"; }
  void declare(Options& options) override { options.flag("-q,--quiet", quiet_, "print the ids only"); }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    auto answer = co_await api.get("/workspace");
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
      co_return kDone;
    }
    const auto& workspaces = array_field(*answer, "workspaces");
    if (!quiet_) {
      session.print(workspace_table(workspaces, std::chrono::system_clock::now()));
      co_return kDone;
    }
    for (const auto& item : workspaces) {
      if (item.is_object()) session.print(text_field(item.get_object(), "id") + "\n");
    }
    co_return kDone;
  }
  bool quiet_ = false;
};

}  // namespace

CommandPtr make_ls() { return std::make_unique<List>(); }

}  // namespace cofferdam::cli

// stop, suspend, start and rm: one request for each workspace named, going on after a failure.
#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"

namespace cofferdam::cli {
namespace {

struct Verb {
  std::string_view name, summary, method, rest;
};

class EachWorkspace : public Command {
 public:
  explicit EachWorkspace(const Verb& verb) : verb_(verb) {}
  [[nodiscard]] std::string_view name() const override { return verb_.name; }
  [[nodiscard]] std::string_view summary() const override { return verb_.summary; }
  void declare(Options& options) override {
    options.arguments("WORKSPACE", workspaces_, "ids or names", Need::required);
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    int status = kDone;
    boost::json::array results;
    for (const auto& workspace : workspaces_) {
      auto answer = co_await api.call(std::string(verb_.method), workspace_target(workspace, verb_.rest));
      if (session.json()) {
        boost::json::object result{{"workspace", workspace}, {"success", answer.has_value()}};
        if (!answer) result["message"] = answer.error().message;
        if (!answer) status = kFailed;
        results.push_back(std::move(result));
      } else if (!answer) {
        status = session.failed(std::move(answer.error()).in(workspace));
      } else {
        session.print(workspace + "\n");
      }
    }
    if (session.json()) session.print_json({{"success", status == kDone}, {"results", std::move(results)}});
    co_return status;
  }
  Verb verb_;
  std::vector<std::string> workspaces_;
};

}  // namespace

CommandPtr make_stop() {
  return std::make_unique<EachWorkspace>(
      Verb{"stop", "Stop workspaces; the disk of a permanent one stays", "POST", "/stop"});
}
CommandPtr make_suspend() {
  return std::make_unique<EachWorkspace>(
      Verb{"suspend", "Put the memory of workspaces on disk; they wake when they are needed", "POST", "/suspend"});
}
CommandPtr make_start() {
  return std::make_unique<EachWorkspace>(Verb{"start", "Start stopped or suspended workspaces", "POST", "/start"});
}
CommandPtr make_rm() {
  return std::make_unique<EachWorkspace>(Verb{"rm", "Destroy workspaces and all that is in them", "DELETE", ""});
}

}  // namespace cofferdam::cli

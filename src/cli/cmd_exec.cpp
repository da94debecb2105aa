#include "cli/commands.h"
#include "cli/exec_options.h"
#include "cli/exec_stream.h"

namespace cofferdam::cli {
namespace {

Task<int> execute(Session& session, std::string workspace, model::ExecSpec spec, EnvOptions env) {
  SignalWatch signals(session.executor());
  ExecStream stream(session, signals);
  ExecRequest request;
  request.workspace = workspace;
  request.spec = spec;
  request.env = std::move(env);
  request.output = session.json() ? OutputTo::keep : OutputTo::stream;
  auto ended = co_await stream.run(std::move(request));
  if (!ended) co_return session.failed(ended.error(), kBroke);
  if (session.json()) {
    boost::json::object object = exec_json(*ended);
    object["workspace"] = workspace;
    session.print_json(std::move(object));
  }
  explain_end(session, *ended, spec);
  co_return ended->status;
}

class Exec : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "exec"; }
  [[nodiscard]] std::string_view summary() const override { return "Run a command in a workspace"; }
  void declare(Options& options) override {
    exec_.declare(options);
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.rest("COMMAND", exec_.command, "the program and its arguments");
  }
  Status accept() override {
    TRY_ASSIGN(spec_, exec_.resolve());
    return {};
  }
  int run(Session& session) override { return session.wait(execute(session, workspace_, spec_, exec_.env)); }

 private:
  std::string workspace_;
  ExecOptions exec_;
  model::ExecSpec spec_;
};

class Shell : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "shell"; }
  [[nodiscard]] std::string_view summary() const override { return "Open a shell in a workspace"; }
  void declare(Options& options) override {
    options.value("-u,--user", "USER", exec_.user, "user name, uid or uid:gid (default the image's)");
    options.value("-w,--workdir", "FOLDER", exec_.workdir, "working folder (default the image's)");
    exec_.env.declare(options);
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
  }
  Status accept() override {
    exec_.interactive = exec_.terminal = true;
    exec_.timeout = exec_.max_output = "0";
    exec_.command = {"/bin/sh", "-c", "exec $(command -v bash || echo sh) -l"};
    TRY_ASSIGN(spec_, exec_.resolve());
    return {};
  }
  int run(Session& session) override { return session.wait(execute(session, workspace_, spec_, exec_.env)); }

 private:
  std::string workspace_;
  ExecOptions exec_;
  model::ExecSpec spec_;
};

}  // namespace

CommandPtr make_exec() { return std::make_unique<Exec>(); }
CommandPtr make_shell() { return std::make_unique<Shell>(); }

}  // namespace cofferdam::cli

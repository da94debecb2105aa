#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string base_of(const std::string& workspace) { return workspace_target(workspace, "/workloads"); }

class WorkloadCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload create"; }
  [[nodiscard]] std::string_view summary() const override { return "Keep a command running in a workspace"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--name", "NAME", name_, "what it is called");
    options.value("--restart", "POLICY", restart_, "never, on-failure or always (default never)");
    options.value("--workdir", "DIR", folder_, "where it runs");
    options.value("--user", "USER", user_, "as whom it runs");
    options.values("-e,--env", "NAME=VALUE", env_, "a variable of its environment");
    options.flag("--allow-control-token", control_token_, "a value may be a control token of this host");
    options.rest("COMMAND", command_, "what to run");
  }
  Status accept() override {
    if (command_.empty()) return fail(Code::InvalidArgument, "COMMAND is missing");
    return {};
  }
  int run(Session& session) override {
    const auto list = [](const std::vector<std::string>& words) {
      json::array array;
      for (const auto& word : words) array.emplace_back(word);
      return array;
    };
    json::object body{{"cmd", list(command_)}};
    if (!env_.empty()) body["env"] = list(env_);
    if (control_token_) body["force"] = true;
    if (!name_.empty()) body["name"] = name_;
    if (!restart_.empty()) body["restart_policy"] = restart_;
    if (!folder_.empty()) body["working_dir"] = folder_;
    if (!user_.empty()) body["user"] = user_;
    const auto say = [](const json::object& answer) { return text_field(answer, "id"); };
    return session.wait(make_call(session, "POST", base_of(workspace_), std::move(body), say));
  }

 private:
  std::string workspace_, name_, restart_, folder_, user_;
  std::vector<std::string> env_, command_;
  bool control_token_ = false;
};

class WorkloadList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the workloads of a workspace"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(show_list(session, base_of(workspace_), "workloads",
                                  {{"ID", "id"},
                                   {"NAME", "name"},
                                   {"STATE", "state"},
                                   {"PID", "pid"},
                                   {"EXIT", "exit_code"},
                                   {"RESTARTS", "restart_count"},
                                   {"POLICY", "restart_policy"},
                                   {"COMMAND", "cmd"}}));
  }

 private:
  std::string workspace_;
};

class WorkloadStart : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload start"; }
  [[nodiscard]] std::string_view summary() const override { return "Start a workload"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("WORKLOAD", id_, "id or name", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "POST", target_of(base_of(workspace_), id_, "/start"), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, id_;
};

class WorkloadStop : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload stop"; }
  [[nodiscard]] std::string_view summary() const override { return "Stop a workload"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("WORKLOAD", id_, "id or name", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "POST", target_of(base_of(workspace_), id_, "/stop"), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, id_;
};

class WorkloadRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove a workload"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("WORKLOAD", id_, "id or name", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", target_of(base_of(workspace_), id_, ""), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, id_;
};

class WorkloadLogs : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "workload logs"; }
  [[nodiscard]] std::string_view summary() const override { return "Print the last output of a workload"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("WORKLOAD", id_, "id or name", Need::required);
  }
  int run(Session& session) override {
    const auto say = [](const json::object& answer) { return std::string(trim(text_field(answer, "logs"))); };
    return session.wait(make_call(session, "GET", target_of(base_of(workspace_), id_, "/logs"), {}, say));
  }

 private:
  std::string workspace_, id_;
};

}  // namespace

CommandPtr make_workload_create() { return std::make_unique<WorkloadCreate>(); }
CommandPtr make_workload_ls() { return std::make_unique<WorkloadList>(); }
CommandPtr make_workload_start() { return std::make_unique<WorkloadStart>(); }
CommandPtr make_workload_stop() { return std::make_unique<WorkloadStop>(); }
CommandPtr make_workload_rm() { return std::make_unique<WorkloadRemove>(); }
CommandPtr make_workload_logs() { return std::make_unique<WorkloadLogs>(); }

}  // namespace cofferdam::cli

// drill: whether snapshots can be brought back, tried.
#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

class DrillRun : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "drill"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Bring the latest snapshot back for a moment, without a network, and say how long it took";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name (default: all that have a snapshot)", Need::optional);
    options.value("--snapshot", "SNAPSHOT", snapshot_, "default: the latest");
    options.value("--check", "LINE", check_,
                  "for sh: ends with 0 when all is well (default: its ready check, if it had one)");
    options.value("--timeout", "TIME", timeout_, "how long the check may take (default 60s)");
    options.flag("--list", list_, "what came of the last ones, and try nothing");
  }
  Status accept() override {
    if (workspace_.empty() && !snapshot_.empty()) return fail(Code::InvalidArgument, "--snapshot: of which workspace?");
    if (timeout_.empty()) return {};
    if (check_.empty()) return fail(Code::InvalidArgument, "--timeout is for --check");
    auto parsed = parse_duration(timeout_);
    if (!parsed) return fail(std::move(parsed.error()).in("--timeout"));
    seconds_ = std::max<std::int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(*parsed).count());
    return {};
  }
  int run(Session& session) override {
    if (!list_) return session.wait(work(session));
    const std::string query = workspace_.empty() ? "" : cat("?workspace=", target_of("", workspace_).substr(1));
    return session.wait(show_list(session, cat("/drills", query), "drills",
                                  {{"WORKSPACE", "workspace_id"},
                                   {"SNAPSHOT", "snapshot"},
                                   {"AT", "at"},
                                   {"PASSED", "passed"},
                                   {"TOOK MS", "took_ms"},
                                   {"LAST PASSED", "passed_at"},
                                   {"ERROR", "error"}}));
  }

 private:
  // All are tried, also when one has failed.
  Task<int> work(Session& session) {
    Api api(session);
    std::vector<std::string> wanted{workspace_};
    if (workspace_.empty()) {
      const auto all = co_await api.get("/workspace");
      if (!all) co_return session.failed(all.error());
      wanted.clear();
      for (const auto& item : array_field(*all, "workspaces")) {
        if (item.is_object() && whole_field(item.get_object(), "snapshots") > 0) {
          wanted.push_back(text_field(item.get_object(), "id"));
        }
      }
    }
    json::array drills;
    bool passed = true;
    for (const auto& one : wanted) {
      auto answer = co_await api.call("POST", workspace_target(one, "/drill"), body());
      if (!answer && !workspace_.empty()) co_return session.failed(answer.error());
      passed = passed && answer && flag_field(object_field(*answer, "drill"), "passed");
      if (!answer) {
        drills.emplace_back(json::object{{"workspace_id", one}, {"passed", false}, {"error", answer.error().message}});
      } else {
        drills.emplace_back(object_field(*answer, "drill"));
      }
      if (!session.json()) session.print(line_of(drills.back().get_object()));
    }
    if (session.json()) {
      session.print_json({{"success", passed}, {"drills", std::move(drills)}});
    } else if (wanted.empty()) {
      session.print("no workspace has a snapshot\n");
    }
    co_return passed ? kDone : kFailed;
  }

  [[nodiscard]] json::object body() const {
    json::object body;
    if (!snapshot_.empty()) body["snapshot"] = snapshot_;
    if (!check_.empty()) body["check"] = json::array{"sh", "-c", check_};
    if (seconds_ > 0) body["timeout_seconds"] = seconds_;
    return body;
  }

  static std::string line_of(const json::object& drill) {
    const auto error = text_field(drill, "error");
    const auto what = cat(text_field(drill, "workspace_id"), "  ", text_field(drill, "snapshot"));
    if (!error.empty()) return printable_lines(cat(what, "  FAILED: ", error, "\n"));
    return cat(what, "  came back in ", static_cast<std::int64_t>(number_field(drill, "restore_ms")), " ms, ",
               flag_field(drill, "checked") ? "its ready check took " : "its guest answered in ",
               static_cast<std::int64_t>(number_field(drill, "check_ms")), " ms, ",
               static_cast<std::int64_t>(number_field(drill, "took_ms")), " ms in all\n");
  }

  std::string workspace_, snapshot_, check_, timeout_;
  std::int64_t seconds_ = 0;
  bool list_ = false;
};

}  // namespace

CommandPtr make_drill() { return std::make_unique<DrillRun>(); }

}  // namespace cofferdam::cli

// ready: by which command one knows that a workspace is as it should be.
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string describe(const json::object& answer) {
  const auto& check = object_field(answer, "ready_check");
  if (check.empty()) return "none: drills ask whether its guest answers";
  return cat(json::serialize(array_field(check, "command")), ", for at most ", whole_field(check, "timeout_seconds"),
             " s");
}

class Ready : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ready"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Show or change by which command drills know that a workspace is as it should be";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("LINE", line_, "for sh: ends with 0 when all is well (default: nothing is changed)",
                     Need::optional);
    options.value("--timeout", "TIME", timeout_, "how long it may take (default 60s)");
    options.flag("--none", none_, "by none: its guest must answer");
  }
  Status accept() override {
    if (none_ && !(line_.empty() && timeout_.empty())) {
      return fail(Code::InvalidArgument, "--none goes with neither LINE nor --timeout");
    }
    if (timeout_.empty()) return {};
    if (line_.empty()) return fail(Code::InvalidArgument, "--timeout is for LINE");
    auto parsed = parse_duration(timeout_);
    if (!parsed) return fail(std::move(parsed.error()).in("--timeout"));
    limit_ = *parsed;
    return {};
  }
  int run(Session& session) override {
    const std::string method = none_ ? "DELETE" : line_.empty() ? "GET" : "PUT";
    json::object body;
    if (!line_.empty()) body["command"] = json::array{"sh", "-c", line_};
    if (!timeout_.empty()) body["timeout_seconds"] = static_cast<double>(limit_.count()) / kMsPerSecond;
    return session.wait(
        make_call(session, method, workspace_target(workspace_, "/ready-check"), std::move(body), describe));
  }

 private:
  static constexpr double kMsPerSecond = 1000.0;
  std::string workspace_, line_, timeout_;
  std::chrono::milliseconds limit_{};
  bool none_ = false;
};

}  // namespace

CommandPtr make_ready() { return std::make_unique<Ready>(); }

}  // namespace cofferdam::cli

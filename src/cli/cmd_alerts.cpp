#include <boost/json/array.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "cli/table.h"
#include "http/url.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

class AlertsList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "alerts ls"; }
  [[nodiscard]] std::string_view summary() const override {
    return "List what was out of the ordinary and nobody has acknowledged, the newest first";
  }
  void declare(Options& options) override {
    options.flag("--all", all_, "those that were acknowledged, too");
    options.value("--workspace", "WORKSPACE", workspace_, "those of one workspace");
  }
  int run(Session& session) override { return session.wait(list(session)); }

 private:
  Task<int> list(Session& session) {
    Api api(session);
    std::string target = cat("/alerts?state=", all_ ? "all" : "open");
    if (!workspace_.empty()) target += cat("&workspace=", http::percent_encode(workspace_));
    auto answer = co_await api.get(std::move(target));
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
      co_return kDone;
    }
    for (const auto& item : array_field(*answer, "alerts")) {
      if (item.is_object()) session.print(text_of(item.get_object()));
    }
    co_return kDone;
  }

  // A paragraph each: a table has no room for a cause and its evidence.
  static std::string text_of(const json::object& alert) {
    const auto name = text_field(alert, "workspace_name");
    std::string text =
        cat(text_field(alert, "id"), "  ", text_field(alert, "rule"), "  ", text_field(alert, "workspace_id"),
            name.empty() ? "" : cat(" (", name, ")"), flag_field(alert, "acknowledged") ? "  acknowledged" : "", "\n  ",
            text_field(alert, "cause"), "\n  from ", text_field(alert, "first"), " to ", text_field(alert, "last"),
            ", ", whole_field(alert, "times"), " times\n");
    for (const auto& [key, value] : object_field(alert, "evidence")) {
      if (value.is_string()) text += cat("  ", std::string_view(key), ": ", std::string_view(value.get_string()), "\n");
    }
    if (const auto action = text_field(alert, "action"); !action.empty()) text += cat("  ", action, "\n");
    return printable_lines(cat(text, "  next: ", text_field(alert, "next"), "\n"));
  }

  std::string workspace_;
  bool all_ = false;
};

class AlertsAck : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "alerts ack"; }
  [[nodiscard]] std::string_view summary() const override { return "Say that an alert was seen to"; }
  void declare(Options& options) override { options.argument("ID", id_, "of the alert", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "POST", target_of("/alerts", id_, "/ack"), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string id_;
};

class AlertsRules : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "alerts rules"; }
  [[nodiscard]] std::string_view summary() const override { return "List the rules that raise alerts"; }
  void declare(Options& /*options*/) override {}
  int run(Session& session) override {
    return session.wait(show_list(session, "/alerts/rules", "rules", {{"RULE", "text"}, {"ACTION", "action"}}));
  }
};

}  // namespace

CommandPtr make_alerts_ls() { return std::make_unique<AlertsList>(); }
CommandPtr make_alerts_ack() { return std::make_unique<AlertsAck>(); }
CommandPtr make_alerts_rules() { return std::make_unique<AlertsRules>(); }

}  // namespace cofferdam::cli

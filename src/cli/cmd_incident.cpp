// contain, release, incident: a workspace that must be stopped, and what is known of it.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string where_of(const json::object& destination) {
  const auto name = text_field(destination, "name");
  const auto port = whole_field(destination, "port");
  return printable(cat(name.empty() ? text_field(destination, "address") : name, port == 0 ? "" : cat(":", port)));
}

std::string steps_of(const json::object& incident) {
  std::string text;
  for (const auto& item : array_field(incident, "steps")) {
    if (!item.is_object()) continue;
    const auto& step = item.get_object();
    const auto error = text_field(step, "error");
    text += cat("  ", text_field(step, "step"), "  ", static_cast<std::int64_t>(number_field(step, "after_ms")),
                " ms  ", printable(error.empty() ? text_field(step, "detail") : cat("FAILED: ", error)), "\n");
  }
  return text;
}

std::string list_of(std::string_view title, const json::array& items, std::string_view field) {
  std::string text;
  for (const auto& item : items) {
    const auto one = item.is_string()   ? std::string(item.get_string())
                     : item.is_object() ? text_field(item.get_object(), field)
                                        : std::string();
    if (!one.empty()) text += cat(text.empty() ? "" : ", ", printable(one));
  }
  return text.empty() ? "" : cat(title, text, "\n");
}

std::string report_of(const json::object& incident) {
  const auto& report = object_field(incident, "report");
  const auto& could = object_field(report, "could_reach");
  std::string text;
  if (flag_field(could, "internet")) text += "could reach:   every public address\n";
  text += list_of("could reach:   ", array_field(could, "egress"), "");
  text += list_of("links to:      ", array_field(could, "links_out"), "name");
  text += list_of("links from:    ", array_field(could, "links_in"), "name");
  for (const auto& item : array_field(object_field(report, "reached"), "destinations")) {
    if (!item.is_object()) continue;
    const auto& seen = item.get_object();
    text += cat(whole_field(seen, "opened") > 0 ? "reached:       " : "was refused:   ", where_of(seen), "  ",
                whole_field(seen, "opened"), " connections, ", whole_field(seen, "bytes_out"), " bytes out, ",
                whole_field(seen, "bytes_in"), " in\n");
  }
  text += list_of("secrets:       ", array_field(report, "secrets"), "");
  text += list_of("its tokens:    ", array_field(report, "tokens"), "id");
  const auto& traces = object_field(report, "traces");
  text += list_of("minted:        ", array_field(traces, "tokens_minted"), "id");
  text += list_of("started:       ", array_field(traces, "workspaces_started"), "id");
  text += list_of("files written: ", array_field(traces, "files_written"), "path");
  for (const auto& line : array_field(report, "look_at")) {
    if (line.is_string()) text += cat("look at:       ", printable(std::string(line.get_string())), "\n");
  }
  for (const auto& line : array_field(report, "missing")) {
    if (line.is_string()) text += cat("missing:       ", printable(std::string(line.get_string())), "\n");
  }
  return text;
}

std::string describe(const json::object& answer) {
  const auto& incident = object_field(answer, "incident");
  const auto why = text_field(incident, "why");
  std::string text = cat(text_field(incident, "id"), ": ", text_field(incident, "workspace"), " is ",
                         text_field(incident, "state"), why.empty() ? "" : cat(": ", printable(why)), "\n");
  if (const auto released = text_field(incident, "released_at"); !released.empty()) {
    text += cat("released at ", released, ": ", printable(text_field(incident, "release_why")), "\n");
  }
  return text + steps_of(incident) + report_of(incident);
}

class Contain : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "contain"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Stop a workspace at once, cut it off from everything, and keep it as it is";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--why", "TEXT", why_, "for people");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  // A step that failed is a failure, though the others were taken.
  Task<int> work(Session& session) {
    Api api(session);
    json::object body;
    if (!why_.empty()) body["why"] = why_;
    auto answer = co_await api.call("POST", workspace_target(workspace_, "/contain"), std::move(body));
    if (!answer) co_return session.failed(answer.error());
    bool all = true;
    for (const auto& item : array_field(object_field(*answer, "incident"), "steps")) {
      if (item.is_object() && !text_field(item.get_object(), "error").empty()) all = false;
    }
    if (session.json()) {
      session.print_json(std::move(*answer));
    } else {
      session.print(describe(*answer));
    }
    co_return all ? kDone : kFailed;
  }
  std::string workspace_, why_;
};

class Release : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "release"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Give a contained workspace back: paused, with its network, without its tokens";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--why", "TEXT", why_, "the reason, which is kept");
  }
  Status accept() override {
    if (!why_.empty()) return {};
    return fail(Code::InvalidArgument, "say why it is given back: --why TEXT");
  }
  int run(Session& session) override {
    const auto say = [](const json::object& answer) {
      return cat(text_field(object_field(answer, "incident"), "workspace"),
                 " is released and stands still: coffer start");
    };
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/release"), {{"why", why_}}, say));
  }

 private:
  std::string workspace_, why_;
};

class IncidentShow : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "incident"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Show the containment of a workspace: steps, what it could reach and did reach, where to look next";
  }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "GET", workspace_target(workspace_, "/incident"), {}, describe));
  }

 private:
  std::string workspace_;
};

class IncidentList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "incidents"; }
  [[nodiscard]] std::string_view summary() const override { return "List containments, the newest first"; }
  void declare(Options& options) override {
    options.value("--workspace", "WORKSPACE", workspace_, "those of this one");
  }
  int run(Session& session) override {
    const std::string query = workspace_.empty() ? "" : cat("?workspace=", target_of("", workspace_).substr(1));
    return session.wait(show_list(session, cat("/incidents", query), "incidents",
                                  {{"ID", "id"},
                                   {"WORKSPACE", "workspace"},
                                   {"NAME", "name"},
                                   {"STATE", "state"},
                                   {"BEGAN", "began_at"},
                                   {"BY", "by"},
                                   {"WHY", "why"},
                                   {"RELEASED", "released_at"}}));
  }

 private:
  std::string workspace_;
};

}  // namespace

CommandPtr make_contain() { return std::make_unique<Contain>(); }
CommandPtr make_release() { return std::make_unique<Release>(); }
CommandPtr make_incident() { return std::make_unique<IncidentShow>(); }
CommandPtr make_incidents() { return std::make_unique<IncidentList>(); }

}  // namespace cofferdam::cli

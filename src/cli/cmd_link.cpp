#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

class LinkAdd : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "link add"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Let one workspace open connections to ports of another, and not the reverse";
  }
  void declare(Options& options) override {
    options.argument("FROM", from_, "who may begin; id or name", Need::required);
    options.argument("TARGET", to_, "whom it reaches and where, as NAME:PORTS: db:5432, api:80,8000-8080",
                     Need::required);
    options.value("--note", "TEXT", note_, "for people");
    options.value("--ttl", "TIME", ttl_, "the link ends by itself after this long: 90s, 30m, 2h");
  }
  Status accept() override {
    const auto colon = to_.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == to_.size()) {
      return fail(Code::InvalidArgument, cat("'", to_, "' names no workspace and port"), "write it as NAME:PORT");
    }
    ports_ = to_.substr(colon + 1);
    to_.resize(colon);
    return {};
  }
  int run(Session& session) override {
    json::object body{{"from", from_}, {"to", to_}, {"ports", ports_}};
    if (!note_.empty()) body["note"] = note_;
    if (!ttl_.empty()) body["ttl"] = ttl_;
    const auto say = [](const json::object& answer) { return text_field(object_field(answer, "link"), "id"); };
    return session.wait(make_call(session, "POST", "/links", std::move(body), say));
  }

 private:
  std::string from_, to_, ports_, note_, ttl_;
};

class LinkList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "link ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the links between workspaces"; }
  void declare(Options& options) override {
    options.value("--workspace", "WORKSPACE", workspace_, "those from and to this one");
  }
  int run(Session& session) override {
    const std::string query = workspace_.empty() ? "" : cat("?workspace=", target_of("", workspace_).substr(1));
    return session.wait(show_list(session, cat("/links", query), "links",
                                  {{"ID", "id"},
                                   {"FROM", "from"},
                                   {"", "from_name"},
                                   {"TO", "to"},
                                   {"", "to_name"},
                                   {"PORTS", "ports"},
                                   {"ADDRESS", "address"},
                                   {"EXPIRES", "expires_at"},
                                   {"NOTE", "note"}}));
  }

 private:
  std::string workspace_;
};

class LinkRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "link rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove a link; its connections are cut"; }
  void declare(Options& options) override { options.argument("ID", id_, "as link ls shows it", Need::required); }
  int run(Session& session) override {
    return session.wait(
        make_call(session, "DELETE", target_of("/links", id_), {}, [](const json::object&) { return std::string(); }));
  }

 private:
  std::string id_;
};

}  // namespace

CommandPtr make_link_add() { return std::make_unique<LinkAdd>(); }
CommandPtr make_link_ls() { return std::make_unique<LinkList>(); }
CommandPtr make_link_rm() { return std::make_unique<LinkRemove>(); }

}  // namespace cofferdam::cli

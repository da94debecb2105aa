#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

json::array list_of(const std::string& text) {
  json::array list;
  for (const auto& item : split(text, ',')) list.emplace_back(item);
  return list;
}

class TokenCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "token create"; }
  [[nodiscard]] std::string_view summary() const override { return "Mint a token and print it, once"; }
  void declare(Options& options) override {
    options.value("--workspace", "WORKSPACE", workspace_, "good for this workspace alone");
    options.value("--namespace", "NAMESPACE", namespace_, "good for this namespace alone (with neither: for all)");
    options.value("--verbs", "LIST", verbs_,
                  "read, exec, files, lifecycle, network, secrets, tokens, admin (default: all but admin)");
    options.value("--ttl", "DURATION", ttl_, "how long it is good, such as 30d (default 15m)");
    options.value("--from", "LIST", sources_, "source addresses it is good from, such as 10.0.0.0/8");
    options.value("--label", "TEXT", label_, "for the list of tokens");
    options.flag("--runtime", runtime_, "a token for the runtime: what is done inside workspaces");
  }
  Status accept() override {
    if (!workspace_.empty() && !namespace_.empty()) {
      return fail(Code::InvalidArgument, "--workspace and --namespace exclude each other");
    }
    return {};
  }
  int run(Session& session) override {
    json::object body{{"kind", runtime_ ? "runtime" : "control"}, {"scope", "account"}};
    if (!workspace_.empty()) body["scope"] = "workspace", body["workspaceId"] = workspace_;
    if (!namespace_.empty()) body["scope"] = "namespace", body["namespace"] = namespace_;
    if (!verbs_.empty()) body["verbs"] = list_of(verbs_);
    if (!sources_.empty()) body["sources"] = list_of(sources_);
    if (!ttl_.empty()) body["ttl"] = ttl_;
    if (!label_.empty()) body["label"] = label_;
    const auto say = [](const json::object& answer) { return text_field(answer, "token"); };
    return session.wait(make_call(session, "POST", "/tokens", std::move(body), say));
  }

 private:
  std::string workspace_, namespace_, verbs_, ttl_, label_, sources_;
  bool runtime_ = false;
};

class TokenList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "token ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the tokens that are good"; }
  void declare(Options& options) override {
    options.value("--namespace", "NAMESPACE", namespace_, "those of one namespace");
  }
  int run(Session& session) override {
    return session.wait(show_list(session, cat("/tokens", namespace_query(namespace_)), "tokens",
                                  {{"ID", "id"},
                                   {"KIND", "kind"},
                                   {"SCOPE", "scope"},
                                   {"VERBS", "verbs"},
                                   {"LABEL", "label"},
                                   {"EXPIRES", "expires_at"},
                                   {"LAST USED", "last_used_at"}}));
  }

 private:
  std::string namespace_;
};

class TokenRotate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "token rotate"; }
  [[nodiscard]] std::string_view summary() const override { return "A new secret for a token, printed once"; }
  void declare(Options& options) override {
    options.argument("TOKEN", token_, "its id", Need::required);
    options.value("--grace", "DURATION", grace_, "how long the old secret stays good (default: not at all)");
  }
  Status accept() override {
    if (!grace_.empty()) {
      TRY(parse_duration(grace_));
    }
    return {};
  }
  int run(Session& session) override {
    json::object body;
    if (!grace_.empty()) {
      body["grace_seconds"] = std::chrono::duration_cast<std::chrono::seconds>(*parse_duration(grace_)).count();
    }
    const auto say = [](const json::object& answer) { return text_field(answer, "token"); };
    return session.wait(make_call(session, "POST", target_of("/tokens", token_, "/rotate"), std::move(body), say));
  }

 private:
  std::string token_, grace_;
};

class TokenRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "token rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Revoke a token; what it opened is cut"; }
  void declare(Options& options) override {
    options.argument("TOKEN", token_, "its id", Need::required);
    options.flag("--descendants", descendants_, "those that were minted with it, too");
  }
  int run(Session& session) override {
    const std::string target = target_of("/tokens", token_, descendants_ ? "?descendants=1" : "");
    return session.wait(make_call(session, "DELETE", target, {}, [](const json::object&) { return std::string(); }));
  }

 private:
  std::string token_;
  bool descendants_ = false;
};

}  // namespace

CommandPtr make_token_create() { return std::make_unique<TokenCreate>(); }
CommandPtr make_token_ls() { return std::make_unique<TokenList>(); }
CommandPtr make_token_rotate() { return std::make_unique<TokenRotate>(); }
CommandPtr make_token_rm() { return std::make_unique<TokenRemove>(); }

}  // namespace cofferdam::cli

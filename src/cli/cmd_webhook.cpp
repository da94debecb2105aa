#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxSecret = 1024;

class WebhookCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "webhook create"; }
  [[nodiscard]] std::string_view summary() const override { return "Have events delivered to a URL"; }
  void declare(Options& options) override {
    options.argument("URL", url_, "where they are sent", Need::required);
    options.value("--events", "LIST", events_, "such as vm.created,vm.stopped (default: all)");
    options.value("--namespace", "NAMESPACE", namespace_, "those of one namespace");
    options.value("--description", "TEXT", description_, "for people");
    options.value("--secret-file", "FILE", secret_file_, "what signs the deliveries; - is stdin");
  }
  int run(Session& session) override {
    json::object body{{"url", url_}};
    json::array events;
    for (const auto& event : split(events_.empty() ? "*" : events_, ',')) events.emplace_back(event);
    body["events"] = std::move(events);
    if (!namespace_.empty()) body["namespace"] = namespace_;
    if (!description_.empty()) body["description"] = description_;
    if (!secret_file_.empty()) {
      const auto secret = secret_file_ == "-" ? read_fd(STDIN_FILENO, kMaxSecret) : read_file(secret_file_, kMaxSecret);
      if (!secret) return session.failed(secret.error());
      body["secret"] = trim(*secret);
    }
    const auto say = [](const json::object& answer) { return cat(whole_field(object_field(answer, "webhook"), "id")); };
    return session.wait(make_call(session, "POST", "/webhooks", std::move(body), say));
  }

 private:
  std::string url_, events_, namespace_, description_, secret_file_;
};

class WebhookList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "webhook ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the webhooks"; }
  void declare(Options& options) override {
    options.value("--namespace", "NAMESPACE", namespace_, "those of one namespace");
  }
  int run(Session& session) override {
    return session.wait(show_list(session, cat("/webhooks", namespace_query(namespace_)), "webhooks",
                                  {{"ID", "id"},
                                   {"URL", "url"},
                                   {"EVENTS", "events"},
                                   {"ACTIVE", "active"},
                                   {"NAMESPACE", "namespace"},
                                   {"LAST STATUS", "last_status_code"},
                                   {"LAST TRIED", "last_triggered_at"}}));
  }

 private:
  std::string namespace_;
};

class WebhookRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "webhook rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove a webhook"; }
  void declare(Options& options) override { options.argument("ID", id_, "its number", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", target_of("/webhooks", id_), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string id_;
};

class WebhookDeliveries : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "webhook deliveries"; }
  [[nodiscard]] std::string_view summary() const override { return "List what was sent to a webhook lately"; }
  void declare(Options& options) override { options.argument("ID", id_, "its number", Need::required); }
  int run(Session& session) override {
    return session.wait(show_list(session, target_of("/webhooks", id_, "/deliveries"), "deliveries",
                                  {{"ID", "id"},
                                   {"EVENT", "event"},
                                   {"STATE", "state"},
                                   {"TRIES", "tries"},
                                   {"STATUS", "status_code"},
                                   {"ERROR", "error"},
                                   {"NEXT TRY", "next_try_at"}}));
  }

 private:
  std::string id_;
};

}  // namespace

CommandPtr make_webhook_create() { return std::make_unique<WebhookCreate>(); }
CommandPtr make_webhook_ls() { return std::make_unique<WebhookList>(); }
CommandPtr make_webhook_rm() { return std::make_unique<WebhookRemove>(); }
CommandPtr make_webhook_deliveries() { return std::make_unique<WebhookDeliveries>(); }

}  // namespace cofferdam::cli

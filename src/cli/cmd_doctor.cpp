#include <boost/json/array.hpp>

#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/doctor_checks.h"
#include "cli/safe_text.h"
#include "cli/table.h"

namespace cofferdam::cli {
namespace {

class Doctor : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "doctor"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Say what this host has and lacks, and what to do; needs no daemon";
  }
  void declare(Options& /*options*/) override {}
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  static Task<int> work(Session& session) {
    auto findings = check_host(session.settings());
    co_await ask_daemon(session, findings);
    bool healthy = true;
    for (const auto& finding : findings) healthy &= finding.level != Finding::Level::fail;
    if (session.json()) {
      boost::json::array checks;
      for (const auto& finding : findings) {
        const auto level = level_name(finding.level);
        checks.push_back({{"subject", finding.subject},
                          {"level", boost::json::string_view(level.data(), level.size())},
                          {"text", finding.text},
                          {"advice", finding.advice}});
      }
      session.print_json({{"healthy", healthy}, {"checks", std::move(checks)}});
    } else {
      print(session, findings);
    }
    co_return healthy ? kDone : kFailed;
  }

  static void print(const Session& session, const std::vector<Finding>& findings) {
    Table table({{""}, {""}, {""}});
    for (const auto& finding : findings) {
      table.add({std::string(level_name(finding.level)), finding.subject, finding.text});
      if (!finding.advice.empty()) table.add({"", "", cat("-> ", finding.advice)});
    }
    const std::string text = table.render();
    // The first line holds the titles, of which there are none.
    session.print(std::string_view(text).substr(text.find('\n') + 1));
  }

  static loop::asio::awaitable<void> ask_daemon(Session& session, std::vector<Finding>& findings) {
    Api api(session);
    const auto host = co_await api.get("/host");
    if (!host) {
      const bool absent = host.error().code == Code::Unavailable;
      findings.push_back({Finding::Level::warn, "daemon", absent ? "not running" : host.error().message,
                          absent ? cat("start it with: ", session.settings().how_to_start) : host.error().hint});
      co_return;
    }
    findings.push_back({Finding::Level::ok, "daemon",
                        cat("running (process ", whole_field(*host, "pid"), ", version ", text_field(*host, "version"),
                            ", ", whole_field(*host, "running"), " workspaces running)"),
                        ""});
    const auto images = co_await api.get("/workspace/images");
    if (!images) {
      findings.push_back({Finding::Level::warn, "images", images.error().message, images.error().hint});
      co_return;
    }
    std::string built;
    for (const auto& item : array_field(*images, "images")) {
      if (!item.is_object() || !flag_field(item.get_object(), "built")) continue;
      built += cat(built.empty() ? "" : ", ", text_field(item.get_object(), "image"));
    }
    const bool none = built.empty();
    findings.push_back({none ? Finding::Level::warn : Finding::Level::ok, "images", none ? "none is built" : built,
                        none ? "coffer image build debian-12" : ""});
  }
};

}  // namespace

CommandPtr make_doctor() { return std::make_unique<Doctor>(); }

}  // namespace cofferdam::cli

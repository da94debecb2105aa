#include "base/text.h"
#include "cli/commands.h"
#include "cli/session.h"

namespace cofferdam::cli {
namespace {

class Version : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "version"; }
  [[nodiscard]] std::string_view summary() const override { return "Print the version of this program"; }
  void declare(Options& /*options*/) override {}
  int run(Session& session) override {
    if (session.json()) {
      session.print_json({{"version", COFFER_VERSION}});
    } else {
      session.print("coffer " COFFER_VERSION "\n");
    }
    return kDone;
  }
};

}  // namespace

CommandPtr make_version() { return std::make_unique<Version>(); }

}  // namespace cofferdam::cli

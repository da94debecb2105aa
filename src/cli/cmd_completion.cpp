#include "base/text.h"
#include "cli/commands.h"
#include "cli/outline.h"
#include "cli/session.h"

namespace cofferdam::cli {
namespace {

class Completion : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "completion"; }
  [[nodiscard]] std::string_view summary() const override { return "Print the completion script of a shell"; }
  void declare(Options& options) override {
    options.argument("SHELL", shell_, "bash, zsh or fish; markdown prints this manual", Need::required);
  }
  Status accept() override {
    text_ = shell_ == "markdown" ? manual() : completion_script(shell_);
    if (!text_.empty()) return {};
    return fail(Code::InvalidArgument, cat("there is no completion for '", shell_, "'"), "bash, zsh or fish");
  }
  int run(Session& session) override {
    session.print(text_);
    return kDone;
  }

 private:
  std::string shell_, text_;
};

}  // namespace

CommandPtr make_completion() { return std::make_unique<Completion>(); }

}  // namespace cofferdam::cli

#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstdio>

#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/stats_view.h"
#include "cli/terminal.h"

namespace cofferdam::cli {
namespace {

constexpr auto kWatchEvery = std::chrono::seconds(1);

class Stats : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "stats"; }
  [[nodiscard]] std::string_view summary() const override { return "Print what a workspace uses"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.flag("--watch", watch_, "print it again every second");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    for (;;) {
      auto answer = co_await api.get(workspace_target(workspace_, "/stats"));
      if (!answer) co_return session.failed(answer.error());
      if (session.json()) {
        session.print_json(std::move(*answer));
      } else {
        const bool redraw = watch_ && is_terminal(STDOUT_FILENO);
        session.print(
            cat(redraw ? "\033[H\033[J" : "", stats_text(workspace_, *answer), watch_ && !redraw ? "\n" : ""));
      }
      if (!watch_) co_return kDone;
      CO_TRY(co_await loop::sleep_for(kWatchEvery));
    }
  }
  std::string workspace_;
  bool watch_ = false;
};

}  // namespace

CommandPtr make_stats() { return std::make_unique<Stats>(); }

}  // namespace cofferdam::cli

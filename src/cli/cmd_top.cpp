#include <unistd.h>

#include <boost/json/array.hpp>
#include <cstdio>

#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/stats_view.h"
#include "cli/table.h"
#include "cli/terminal.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr auto kEvery = std::chrono::seconds(1);

// As figure_text() writes sizes, for what may also shrink.
std::string growth_text(double bytes) {
  return cat(bytes < 0 ? "-" : "", figure_text("_bytes", bytes < 0 ? -bytes : bytes));
}

std::string bytes_text(const json::object& figures, std::string_view name) {
  return figure_text("_bytes", number_field(figures, name));
}

class Top : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "top"; }
  [[nodiscard]] std::string_view summary() const override {
    return "What the running workspaces use, side by side, measured outside of them";
  }
  void declare(Options& options) override { options.flag("--watch", watch_, "print it again every second"); }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    for (;;) {
      auto answer = co_await api.get("/watch");
      if (!answer) co_return session.failed(answer.error());
      if (session.json()) {
        session.print_json(std::move(*answer));
      } else {
        show(session, array_field(*answer, "workspaces"));
      }
      if (!watch_) co_return kDone;
      CO_TRY(co_await loop::sleep_for(kEvery));
    }
  }

  void show(Session& session, const json::array& rows) const {
    Table table({{"WORKSPACE"},
                 {"NAME"},
                 {"CPU", Align::right},
                 {"MEMORY", Align::right},
                 {"DISK", Align::right},
                 {"GROWS/MIN", Align::right},
                 {"READ/S", Align::right},
                 {"WRITTEN/S", Align::right},
                 {"OUT/S", Align::right},
                 {"IN/S", Align::right},
                 {"OPEN", Align::right},
                 {"REFUSED", Align::right},
                 {"ALERTS", Align::right}});
    for (const auto& item : rows) {
      if (!item.is_object()) continue;
      const auto& row = item.get_object();
      const auto& seen = object_field(row, "outside");
      table.add(
          {text_field(row, "id"), text_field(row, "name"), figure_text("_percent", number_field(seen, "cpu_percent")),
           bytes_text(seen, "memory_bytes"), bytes_text(seen, "disk_allocated_bytes"),
           growth_text(number_field(seen, "disk_growth_bytes_per_minute")), bytes_text(seen, "disk_read_rate_bytes"),
           bytes_text(seen, "disk_written_rate_bytes"), bytes_text(seen, "network_out_rate_bytes"),
           bytes_text(seen, "network_in_rate_bytes"), cat(whole_field(seen, "connections_open")),
           cat(whole_field(seen, "connections_refused")), cat(whole_field(row, "alerts"))});
    }
    const bool redraw = watch_ && is_terminal(STDOUT_FILENO);
    session.print(cat(redraw ? "\033[H\033[J" : "", table.render(), watch_ && !redraw ? "\n" : ""));
  }

  bool watch_ = false;
};

}  // namespace

CommandPtr make_top() { return std::make_unique<Top>(); }

}  // namespace cofferdam::cli

#include <unistd.h>

#include <cmath>
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

constexpr auto kEvery = std::chrono::seconds(2);

std::string percent_text(double percent) {
  char text[32];
  (void)std::snprintf(text, sizeof text, "%.1f%%", percent);
  return text;
}

class Top : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "top"; }
  [[nodiscard]] std::string_view summary() const override { return "What the running workspaces use, side by side"; }
  void declare(Options& options) override { options.flag("--watch", watch_, "print it again every two seconds"); }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    for (;;) {
      auto listed = co_await api.get("/workspace?status=running");
      if (!listed) co_return session.failed(listed.error());
      json::array rows;
      for (const auto& item : array_field(*listed, "workspaces")) {
        const auto& workspace = item.get_object();
        auto stats = co_await api.get(workspace_target(text_field(workspace, "id"), "/stats"));
        if (!stats) continue;  // it has just ended
        json::object row{{"id", text_field(workspace, "id")}, {"name", text_field(workspace, "name")}};
        for (const char* figure : {"cpu_usage", "memory_usage", "disk_usage"})
          row[figure] = number_field(*stats, figure);
        row["memory_bytes"] = number_field(object_field(*stats, "stats"), "guestMemoryUsedBytes");
        row["processes"] = array_field(*stats, "processes").size();
        rows.emplace_back(std::move(row));
      }
      show(session, std::move(rows));
      if (!watch_) co_return kDone;
      CO_TRY(co_await loop::sleep_for(kEvery));
    }
  }

  void show(Session& session, json::array rows) const {
    if (session.json()) {
      session.print_json({{"workspaces", std::move(rows)}});
      return;
    }
    Table table({{"WORKSPACE"},
                 {"NAME"},
                 {"CPU", Align::right},
                 {"MEMORY", Align::right},
                 {"USED", Align::right},
                 {"DISK", Align::right},
                 {"PROCESSES", Align::right}});
    for (const auto& item : rows) {
      const auto& row = item.get_object();
      table.add({text_field(row, "id"), text_field(row, "name"), percent_text(number_field(row, "cpu_usage")),
                 percent_text(number_field(row, "memory_usage")),
                 figure_text("memory_bytes", number_field(row, "memory_bytes")),
                 percent_text(number_field(row, "disk_usage")), cat(whole_field(row, "processes"))});
    }
    const bool redraw = watch_ && is_terminal(STDOUT_FILENO);
    session.print(cat(redraw ? "\033[H\033[J" : "", table.render(), watch_ && !redraw ? "\n" : ""));
  }

  bool watch_ = false;
};

}  // namespace

CommandPtr make_top() { return std::make_unique<Top>(); }

}  // namespace cofferdam::cli

// What the watch has seen of workspaces: side by side, over time, by destination, and for Prometheus.
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "base/text.h"
#include "monitor/metrics_text.h"
#include "monitor/watch_json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMostRows = 2000;

}  // namespace

Task<http::Response> get_metrics(Services& services, Call& /*call*/) {
  http::Response response;
  response.headers.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  response.body = monitor::metrics_text(services.watch);
  co_return response;
}

Task<http::Response> get_watch(Services& services, Call& call) {
  json::array rows;
  const auto alerts = services.watch.alerts().open_by_workspace();
  for (const auto& sight : services.watch.sights()) {
    const auto& workspace = sight.workspace;
    if (!sight.latest || !call.who().sees(workspace.id, workspace.namespace_id)) continue;
    const auto open = alerts.find(workspace.id);
    json::object row{{"id", workspace.id},
                     {"name", workspace.name},
                     {"namespace_id", workspace.namespace_id},
                     {"cpu_millis", workspace.cpu_millis},
                     {"alerts", open == alerts.end() ? 0 : open->second}};
    row["outside"] = figures_to_json(sight);
    rows.emplace_back(std::move(row));
  }
  co_return answer({{"workspaces", std::move(rows)}});
}

Task<http::Response> get_history(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto span, query_text(call, "span"));
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", 120, 1, kMostRows));
  json::array rows;
  if (!span || *span == "second") {
    const auto& seconds = services.watch.history().seconds(call.id());
    for (auto i = seconds.size() - std::min<std::size_t>(seconds.size(), limit); i < seconds.size(); ++i) {
      rows.emplace_back(to_json(seconds[i]));
    }
  } else if (*span == "minute" || *span == "hour") {
    const auto of = *span == "minute" ? monitor::Span::minute : monitor::Span::hour;
    CO_TRY_ASSIGN(const auto rollups, co_await services.watch.history().rolled_up(call.id(), of, monitor::Time(),
                                                                                  monitor::Time::max(), limit));
    for (const auto& rollup : rollups) rows.emplace_back(to_json(rollup));
  } else {
    co_return fail(Code::InvalidArgument, "the query parameter 'span' must be second, minute or hour");
  }
  co_return answer({{"span", span.value_or("second")}, {"history", std::move(rows)}});
}

Task<http::Response> list_destinations(Services& services, Call& call) {
  json::array rows;
  for (const auto& destination : services.watch.destinations().of(call.id())) rows.emplace_back(to_json(destination));
  co_return answer({{"destinations", std::move(rows)}});
}

}  // namespace cofferdam::api

// Commands that a workspace keeps running.
#include <algorithm>

#include "api/env_check.h"
#include "api/event_answer.h"
#include "api/handlers.h"
#include "api/workload_json.h"
#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using StatsFeed = loop::Feed<std::vector<workspace::WorkloadStats>>;

constexpr int kCreated = 201;
constexpr std::uint64_t kMaxTail = 100'000;

const std::string& workload_of(const Call& call) { return call.params[1]; }

// Its fields at the top, and once more as clients of another kind look for them.
http::Response one(const workspace::Workload& workload, int status = 200) {
  json::object whole = to_json(workload);
  whole["workload"] = to_json(workload);
  return answer(std::move(whole), status);
}

Task<void> send_stats(std::string workspace_id, std::shared_ptr<StatsFeed> feed,
                      std::shared_ptr<http::EventPipe> pipe) {
  CO_TRY(co_await send_event(*pipe, {{"type", "subscribed"}, {"vm_id", workspace_id}}));
  for (;;) {
    CO_TRY_ASSIGN(const auto figures, co_await feed->next());
    if (!figures) co_return Status{};
    // By number beside the list: the shape that clients of the hosted service are used to.
    json::object event{{"type", "stats"}};
    json::array list;
    for (std::size_t i = 0; i < figures->size(); ++i) {
      event[std::to_string(i)] = to_json((*figures)[i]);
      list.emplace_back(to_json((*figures)[i]));
    }
    event["workloads"] = std::move(list);
    CO_TRY(co_await send_event(*pipe, std::move(event)));
  }
}

Task<void> send_lines(std::shared_ptr<loop::Feed<workspace::WorkloadLine>> feed,
                      std::shared_ptr<http::EventPipe> pipe) {
  for (;;) {
    CO_TRY_ASSIGN(const auto line, co_await feed->next());
    if (!line) co_return Status{};
    CO_TRY(co_await send_event(*pipe, to_json(*line)));
  }
}

http::Response stream_stats(Services& services, std::string workspace_id, std::shared_ptr<StatsFeed> feed) {
  auto produce = [workspace_id = std::move(workspace_id), feed = std::move(feed)](
                     std::shared_ptr<http::EventPipe> pipe) { return send_stats(workspace_id, feed, std::move(pipe)); };
  return stream_events(services, "stats of workloads", std::move(produce));
}

}  // namespace

Task<http::Response> create_workload(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto wanted, workload_from_json(body, ""));
  CO_TRY(check_env(wanted.spec.env, "", body));
  CO_TRY(workspace::validate(wanted.spec));
  CO_TRY_ASSIGN(const auto made,
                co_await services.manager.workloads().create(call.id(), std::move(wanted.spec), wanted.id));
  co_return one(made, kCreated);
}

Task<http::Response> list_workloads(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto states, query_text(call, "states"));
  CO_TRY_ASSIGN(const auto name, query_text(call, "name"));
  CO_TRY_ASSIGN(const auto all, services.manager.workloads().list(call.id()));
  const auto wanted = states ? split(*states, ',') : std::vector<std::string>{};
  json::array shown;
  for (const auto& workload : all) {
    const std::string state(workspace::workload_state_name(workload.state));
    if (states && std::find(wanted.begin(), wanted.end(), state) == wanted.end()) continue;
    if (name && workload.spec.name != *name) continue;
    shown.emplace_back(to_json(workload));
  }
  const auto total = shown.size();
  co_return answer({{"workloads", std::move(shown)}, {"total", total}});
}

Task<http::Response> remove_workloads(Services& services, Call& call) {
  CO_TRY(co_await services.manager.workloads().remove_all(call.id()));
  co_return answer({});
}

Task<http::Response> get_workload(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto workload, services.manager.workloads().get(call.id(), workload_of(call)));
  co_return one(workload);
}

Task<http::Response> update_workload(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto change, workload_change_from_json(body));
  if (change.env) CO_TRY(check_env(*change.env, "", body));
  CO_TRY_ASSIGN(const auto workload,
                co_await services.manager.workloads().update(call.id(), workload_of(call), std::move(change)));
  co_return one(workload);
}

Task<http::Response> remove_workload(Services& services, Call& call) {
  CO_TRY(co_await services.manager.workloads().remove(call.id(), workload_of(call)));
  co_return answer({});
}

Task<http::Response> start_workload(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto workload, co_await services.manager.workloads().start(call.id(), workload_of(call)));
  co_return one(workload);
}

Task<http::Response> stop_workload(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto workload, co_await services.manager.workloads().stop(call.id(), workload_of(call)));
  co_return one(workload);
}

Task<http::Response> get_workload_logs(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto tail, query_whole(call, "tail", 0, 0, kMaxTail));
  CO_TRY_ASSIGN(const auto lines, services.manager.workloads().logs(call.id(), workload_of(call), tail));
  std::string text;
  for (const auto& line : lines) text += cat(to_utf8(workspace::format_line(line)), "\n");
  co_return answer({{"logs", std::move(text)}});
}

Task<http::Response> stream_workload_logs(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto feed, services.manager.workloads().follow_logs(call.id(), workload_of(call)));
  auto produce = [feed = std::move(feed)](std::shared_ptr<http::EventPipe> pipe) {
    return send_lines(feed, std::move(pipe));
  };
  co_return stream_events(services, "log of a workload", std::move(produce));
}

Task<http::Response> get_workload_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto stats, co_await services.manager.workloads().stats(call.id(), workload_of(call)));
  json::object whole = to_json(stats);
  whole["stats"] = to_json(stats);
  co_return answer(std::move(whole));
}

Task<http::Response> stream_workload_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto feed, services.manager.workloads().follow_stats(call.id(), workload_of(call)));
  co_return stream_stats(services, call.id(), std::move(feed));
}

Task<http::Response> stream_all_workload_stats(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto feed, services.manager.workloads().follow_stats(call.id(), ""));
  co_return stream_stats(services, call.id(), std::move(feed));
}

}  // namespace cofferdam::api

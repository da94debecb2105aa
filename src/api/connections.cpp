// What the network of a workspace let through, and what it refused.
#include <boost/json/array.hpp>

#include "api/event_answer.h"
#include "api/handlers.h"
#include "base/text.h"
#include "net/flow_json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kDefault = 100;
constexpr std::uint64_t kMost = 10'000;
constexpr std::uint64_t kAnyNumber = 1ULL << 53;

Task<void> send_flows(std::shared_ptr<loop::Feed<net::Flow>> feed, std::string workspace,
                      std::shared_ptr<http::EventPipe> pipe) {
  std::uint64_t missed = 0;
  for (;;) {
    CO_TRY_ASSIGN(const auto flow, co_await feed->next());
    if (!flow) co_return Status{};
    if (feed->missed() > missed) {
      json::object gap{{"event", "omitted"}, {"omitted", feed->missed() - missed}};
      missed = feed->missed();
      CO_TRY(co_await send_event(*pipe, std::move(gap)));
    }
    if (flow->workspace == workspace) CO_TRY(co_await send_event(*pipe, to_json(*flow)));
  }
}

}  // namespace

Task<http::Response> list_connections(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", kDefault, 1, kMost));
  CO_TRY_ASSIGN(const auto before, query_whole(call, "before", 0, 0, kAnyNumber));
  CO_TRY_ASSIGN(const auto flows, co_await services.networks.flows().last(call.id(), limit, before));
  json::array list;
  for (const auto& flow : flows) list.emplace_back(to_json(flow));
  json::object totals;
  CO_TRY_ASSIGN(const auto counters, co_await services.networks.counters(call.id()));
  for (const auto& counted : counters) {
    totals = {{"opened", counted.opened},
              {"refused", counted.refused},
              {"open_now", counted.open_now},
              {"bytes_out", counted.bytes_out},
              {"bytes_in", counted.bytes_in},
              {"names_answered", counted.dns_answered},
              {"names_refused", counted.dns_refused},
              {"records_omitted", counted.records_omitted}};
  }
  co_return answer({{"connections", std::move(list)}, {"totals", std::move(totals)}});
}

Task<http::Response> stream_connections(Services& services, Call& call) {
  auto produce = [feed = services.networks.flows().follow(), workspace = call.id()](
                     std::shared_ptr<http::EventPipe> pipe) { return send_flows(feed, workspace, std::move(pipe)); };
  co_return stream_events(services, "connections of a workspace", std::move(produce));
}

}  // namespace cofferdam::api

// Containments: cutting a workspace off, what was found, giving it back.
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/network_json.h"
#include "api/permission.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;

constexpr std::uint64_t kUsual = 50;
constexpr std::uint64_t kMost = 500;

Task<std::string> why_of(Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto why, model::get_string(body, "", "why"));
  call.detail = why.value_or("");
  co_return std::move(why).value_or("");
}

}  // namespace

Task<http::Response> contain_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto why, co_await why_of(call));
  CO_TRY_ASSIGN(const auto incident,
                co_await services.containment.contain(call.id(), std::move(why), call.who().origin()));
  co_return answer({{"incident", incident::to_json(incident)}});
}

Task<http::Response> release_workspace(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto why, co_await why_of(call));
  CO_TRY_ASSIGN(const auto incident,
                co_await services.containment.release(call.id(), std::move(why), call.who().origin()));
  co_return answer({{"incident", incident::to_json(incident)}});
}

Task<http::Response> get_incident(Services& services, Call& call) {
  if (const auto* open = services.containment.book().of(call.id())) {
    co_return answer({{"incident", incident::to_json(*open)}});
  }
  CO_TRY_ASSIGN(const auto last, co_await services.containment.book().list(call.id(), 1));
  if (last.empty()) co_return fail(Code::NotFound, cat("the workspace '", call.id(), "' was never contained"));
  co_return answer({{"incident", incident::to_json(last.front())}});
}

// Without their reports. Of a workspace that is no more, its namespace says who may see it.
Task<http::Response> list_incidents(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "workspace"));
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", kUsual, 1, kMost));
  std::string only;
  if (asked) {
    const auto info = workspace_for(services, *call.caller, Verb::read, *asked);
    only = info ? info->id : *asked;
  }
  CO_TRY_ASSIGN(const auto found, co_await services.containment.book().list(only, limit));
  json::array incidents;
  for (const auto& incident : found) {
    if (!call.who().sees(incident.workspace_id, incident.namespace_id)) continue;
    auto object = incident::to_json(incident);
    object.erase("report");
    incidents.emplace_back(std::move(object));
  }
  co_return answer({{"incidents", std::move(incidents)}});
}

}  // namespace cofferdam::api

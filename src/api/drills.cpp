// Drills: snapshots brought back for a moment.
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/network_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;

}  // namespace

Task<http::Response> run_drill(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  incident::DrillWish wish;
  wish.workspace = call.id();
  CO_TRY_ASSIGN(const auto snapshot, model::get_string(body, "", "snapshot"));
  wish.snapshot = snapshot.value_or("");
  CO_TRY_ASSIGN(auto command, get_texts(body, "", "check"));
  CO_TRY_ASSIGN(const auto seconds, get_whole(body, "", "timeout_seconds", 1, model::kMaxReadySeconds));
  if (command && !command->empty()) {
    model::ReadyCheck check{std::move(*command)};
    if (seconds) check.limit = std::chrono::seconds(*seconds);
    if (auto good = model::validate(check); !good) co_return fail(std::move(good.error()).in("/check"));
    wish.check = std::move(check);
  }
  wish.by = call.who().origin();
  CO_TRY_ASSIGN(const auto drill, co_await services.drills.run(std::move(wish)));
  co_return answer({{"drill", incident::to_json(drill)}});
}

Task<http::Response> list_drills(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "workspace"));
  std::string only;
  if (asked) {
    CO_TRY_ASSIGN(const auto info, workspace_for(services, *call.caller, Verb::read, *asked));
    only = info.id;
  }
  json::array drills;
  for (const auto& drill : services.drills.all()) {
    if (!only.empty() && drill.workspace_id != only) continue;
    if (call.who().sees(drill.workspace_id, drill.namespace_id)) drills.emplace_back(incident::to_json(drill));
  }
  co_return answer({{"drills", std::move(drills)}});
}

}  // namespace cofferdam::api

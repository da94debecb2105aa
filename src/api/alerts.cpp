// Alerts: those there are, the rules that raise them, and who has seen one.
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/network_json.h"
#include "api/permission.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;
using monitor::Alert;
using monitor::AlertFilter;

constexpr std::uint64_t kMostAlerts = 1000;

// What is about no workspace is the operator's.
bool sees(const identity::Principal& who, const Alert& alert) {
  return alert.workspace_id.empty() ? who.allows_on_account(Verb::read).has_value()
                                    : who.sees(alert.workspace_id, alert.namespace_id);
}

json::object to_json(const monitor::Rule& rule) {
  return {{"rule", monitor::rule_name(rule.kind)},
          {"text", rule.text()},
          {"on", rule.on},
          {"workspace", rule.workspace},
          {"namespace", rule.name_space},
          {"action", rule.action == monitor::RuleAction::contain ? "contain" : "tell"},
          {"guests_word", monitor::is_guests_word(rule.kind)}};
}

}  // namespace

Task<http::Response> list_alerts(Services& services, Call& call) {
  AlertFilter filter;
  CO_TRY_ASSIGN(filter.limit, query_whole(call, "limit", 100, 1, kMostAlerts));
  CO_TRY_ASSIGN(const auto state, query_text(call, "state"));
  if (state && *state != "all" && *state != "open" && *state != "acknowledged") {
    co_return fail(Code::InvalidArgument, "the query parameter 'state' must be all, open or acknowledged");
  }
  if (state && *state == "open") filter.state = AlertFilter::State::open;
  if (state && *state == "acknowledged") filter.state = AlertFilter::State::acknowledged;
  CO_TRY_ASSIGN(const auto workspace, query_text(call, "workspace"));
  if (workspace) {
    // One that was removed is known by its id alone.
    const auto info = workspace_for(services, *call.caller, Verb::read, *workspace);
    filter.workspace_id = info ? info->id : *workspace;
  }
  if (!call.who().allows_on_account(Verb::read)) {
    filter.visible = [who = call.who()](const Alert& alert) { return sees(who, alert); };
  }
  CO_TRY_ASSIGN(const auto alerts, co_await services.watch.alerts().list(std::move(filter)));
  json::array list;
  for (const auto& alert : alerts) list.emplace_back(monitor::to_json(alert));
  co_return answer({{"alerts", std::move(list)}});
}

Task<http::Response> list_alert_rules(Services& services, Call& /*call*/) {
  json::array rules;
  for (const auto& rule : services.watch.rules().all()) {
    auto object = to_json(rule);
    object["default"] = rules.size() < monitor::kRuleKinds;
    rules.emplace_back(std::move(object));
  }
  co_return answer({{"rules", std::move(rules)}});
}

Task<http::Response> acknowledge_alert(Services& services, Call& call) {
  const std::string id = call.id();
  CO_TRY_ASSIGN(const Alert found, co_await services.watch.alerts().get(id));
  if (!sees(call.who(), found)) {
    co_return fail(Code::NotFound, cat("there is no alert '", id.substr(0, 64), "'"), "list them: coffer alerts ls");
  }
  if (found.workspace_id.empty()) {
    CO_TRY(call.who().allows_on_account(Verb::lifecycle));
  } else {
    CO_TRY(call.who().allows(Verb::lifecycle, found.workspace_id, found.namespace_id));
  }
  call.about = {found.workspace_id, found.namespace_id};
  CO_TRY_ASSIGN(const Alert alert, co_await services.watch.alerts().acknowledge(id, call.who().origin()));
  co_return answer({{"alert", monitor::to_json(alert)}});
}

}  // namespace cofferdam::api

#include "monitor/alert.h"

#include "base/text.h"
#include "base/time.h"

namespace cofferdam::monitor {

namespace json = boost::json;

json::object to_json(const Alert& alert) {
  json::object evidence;
  for (const auto& [name, value] : alert.evidence) evidence[name] = value;
  json::object object{{"id", alert.id},       {"rule", alert.rule},
                      {"cause", alert.cause}, {"evidence", std::move(evidence)},
                      {"next", alert.next},   {"first", format_rfc3339(alert.first)},
                      {"times", alert.times}, {"last", format_rfc3339(alert.last)}};
  object["workspace_id"] = alert.workspace_id.empty() ? json::value() : json::value(alert.workspace_id);
  object["workspace_name"] = alert.workspace_name.empty() ? json::value() : json::value(alert.workspace_name);
  object["namespace_id"] = alert.namespace_id.empty() ? json::value() : json::value(alert.namespace_id);
  object["about"] = alert.about;
  object["action"] = alert.action;
  object["acknowledged"] = alert.acknowledged_at.has_value();
  object["acknowledged_at"] =
      alert.acknowledged_at ? json::value(format_rfc3339(*alert.acknowledged_at)) : json::value();
  object["acknowledged_by"] = alert.acknowledged_by;
  return object;
}

std::string next_command(RuleKind kind, const std::string& workspace_id, const std::string& about) {
  switch (kind) {
    case RuleKind::cpu:
    case RuleKind::miner:
    case RuleKind::stray_process:
    case RuleKind::new_executable:
      return cat("coffer stats ", workspace_id);
    case RuleKind::bytes_out:
    case RuleKind::new_destination:
    case RuleKind::denied:
      return cat("coffer connections ", workspace_id);
    case RuleKind::disk_growth:
      return cat("coffer exec ", workspace_id, " -- du -xhd2 /");
    case RuleKind::failed_auth:
      return "coffer events --kind token.refused";
    case RuleKind::drill:
      return cat("coffer drill ", workspace_id);
    case RuleKind::token_address:
      return cat("coffer events --actor ", about.substr(0, about.find(' ')));
  }
  return "coffer alerts ls";
}

}  // namespace cofferdam::monitor

#include "incident/report.h"

#include <boost/json/array.hpp>

#include "base/text.h"
#include "base/time.h"
#include "incident/traces.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;

// What to look at in the services it was connected to: in the order of how much went there.
json::array advice(const Observed& observed, const Traces* traces, const json::object& policy,
                   const std::vector<std::string>& secrets) {
  constexpr std::size_t kMost = 50;
  json::array lines;
  const auto say = [&lines](std::string_view line) {
    if (lines.size() < kMost) lines.emplace_back(line);
  };
  for (const auto& name : secrets) {
    std::uint64_t times = 0;
    if (traces != nullptr) {
      const auto found = traces->secrets.find(name);
      times = found == traces->secrets.end() ? 0 : found->second;
    }
    say(cat("replace the secret ", name, " where it was issued: it was handed to ", times, " commands"));
  }
  for (const auto& destination : observed.destinations) {
    if (destination.opened == 0) continue;
    const auto shown = to_json(destination);
    const auto between =
        cat(" between ", shown.at("first").as_string().c_str(), " and ", shown.at("last").as_string().c_str());
    if (destination.kind == "link") {
      say(cat("look at what came from it into ", destination.where(), between));
    } else if (destination.kind == "egress") {
      say(cat("look in the logs of ", destination.where(), between, ": ", destination.bytes_out, " bytes went there"));
    }
  }
  for (const auto& proxy : proxies_of(observed)) {
    say(cat("look in the logs of ", proxy_name(proxy), ": connections went through it"));
  }
  if (traces != nullptr) {
    for (const auto& made : traces->workspaces) say(cat("contain ", made.id, " too: its token started it"));
    for (const auto& made : traces->tokens) say(cat("see what ", made.id, " was used for: its token minted it"));
  }
  if (!policy.at("exposed").as_array().empty()) say("see who has visited its exposed ports: coffer connections");
  return lines;
}

}  // namespace

json::array to_json(const std::vector<identity::Token>& tokens) {
  json::array array;
  for (const auto& token : tokens) {
    json::object object{{"id", token.id},
                        {"kind", identity::kind_name(token.kind)},
                        {"label", token.label},
                        {"scope", identity::scope_text(token.grant.scope)},
                        {"verbs", token.grant.verbs.text()},
                        {"created_by", token.created_by},
                        {"last_used_at", nullptr}};
    if (token.last_used_at) object["last_used_at"] = format_rfc3339(*token.last_used_at);
    array.emplace_back(std::move(object));
  }
  return array;
}

Task<json::object> make_report(Sources sources, Incident incident) {
  json::array missing;
  json::object report;
  std::vector<std::string> secrets;
  Time since;
  const auto info = sources.manager.get(incident.workspace_id);
  if (info) {
    secrets = info->spec.secrets;
    since = info->created_at;
    report["image"] = info->spec.image;
    report["created_at"] = format_rfc3339(info->created_at);
  } else {
    missing.emplace_back("the workspace itself: it is no more");
  }
  auto policy = policy_of(sources.networks, sources.manager, incident.workspace_id);
  Observed observed;
  auto seen = co_await observe(sources.networks.flows(), incident.workspace_id);
  if (seen) observed = std::move(*seen);
  if (!seen) missing.emplace_back(cat("its connections: ", seen.error().message));
  std::optional<Traces> traces;
  if (sources.ledger != nullptr) {
    const auto ids = incident.token_ids();
    auto found = co_await find_traces(*sources.ledger, incident.workspace_id,
                                      std::set<std::string>(ids.begin(), ids.end()), since);
    if (found) traces = std::move(*found);
    if (!found) missing.emplace_back(cat("what the ledger has of it: ", found.error().message));
  } else {
    missing.emplace_back("what a ledger would have of it: none is kept");
  }
  report["look_at"] = advice(observed, traces ? &*traces : nullptr, policy, secrets);
  report["could_reach"] = std::move(policy);
  report["reached"] = to_json(observed);
  json::array had;
  for (const auto& name : secrets) had.emplace_back(name);
  report["secrets"] = std::move(had);
  report["tokens"] = incident.tokens;
  if (traces) report["traces"] = to_json(*traces);
  report["missing"] = std::move(missing);
  co_return report;
}

}  // namespace cofferdam::incident

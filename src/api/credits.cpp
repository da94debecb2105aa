#include "api/credits.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "api/call.h"
#include "api/handlers.h"
#include "api/namespace_json.h"
#include "api/permission.h"
#include "api/usage_json.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

// Both are the use of workspaces: this host measures nothing else.
constexpr std::array<std::string_view, 2> kServices{"workspace_vm", "sandbox"};
constexpr std::uint64_t kMostDays = 400;

Result<std::string> check_service(std::string service) {
  if (std::find(kServices.begin(), kServices.end(), service) != kServices.end()) return service;
  return fail(Code::InvalidArgument, cat("/service: '", service.substr(0, 64), "' is not measured by this host"),
              "there are workspace_vm and sandbox, which both mean workspaces");
}

Result<std::string> service_of(const json::object& body) {
  TRY_ASSIGN(auto service, required_text(body, "service"));
  return check_service(std::move(service));
}

// The only level there is.
Status check_level(const std::optional<std::string>& level) {
  if (!level || *level == "namespace") return {};
  return fail(Code::InvalidArgument, "/level: must be namespace");
}

Status check_level(const json::object& body) {
  TRY_ASSIGN(const auto level, model::get_string(body, "", "level"));
  return check_level(level);
}

Result<double> limit_of(const json::object& body) {
  TRY_ASSIGN(const auto limit, model::get_number(body, "", "quotaLimit"));
  if (!limit) return fail(Code::InvalidArgument, "/quotaLimit: is missing");
  return *limit;
}

Result<std::vector<std::uint32_t>> thresholds_of(const json::object& body) {
  std::vector<std::uint32_t> thresholds;
  const auto* value = body.if_contains("notificationThresholds");
  if (value == nullptr || value->is_null()) return thresholds;
  const auto* list = value->if_array();
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const auto& item = (*list)[i];
    const double number = item.is_number() ? item.to_number<double>() : -1;
    if (!(number >= 1) || number > 1000 || number != std::floor(number)) list = nullptr;
    if (list != nullptr) thresholds.push_back(static_cast<std::uint32_t>(number));
  }
  if (list == nullptr) return fail(Code::InvalidArgument, "/notificationThresholds: must be a list of whole percents");
  return thresholds;
}

json::object default_to_json(const monitor::DefaultQuota& quota) {
  return {{"service", quota.service},   {"level", "namespace"},          {"quotaLimit", quota.limit},
          {"quota_limit", quota.limit}, {"autoApply", quota.auto_apply}, {"auto_apply", quota.auto_apply}};
}

// The namespace that the body names, when the caller may manage what belongs to it.
Task<identity::Namespace> space_of(Services& services, Call& call, const json::object& body) {
  CO_TRY_ASSIGN(auto asked, required_text(body, "namespace"));
  co_return co_await namespace_for(services, *call.caller, identity::Verb::admin, std::move(asked));
}

http::Response one(const identity::Namespace& space, const monitor::Quota& quota) {
  json::object data = to_json(quota);
  data["namespace"] = space.slug;
  data["namespace_id"] = space.id;
  return answer({{"data", std::move(data)}});
}

}  // namespace

json::object to_json(const monitor::Quota& quota) {
  json::array thresholds;
  for (const auto percent : quota.setting.thresholds) thresholds.emplace_back(percent);
  return {{"service", quota.service},
          {"quotaLimit", quota.setting.limit},
          {"quota_limit", quota.setting.limit},
          {"used", quota.used},
          {"remaining", std::max(0.0, quota.setting.limit - quota.used)},
          {"overdraft", quota.setting.overdraft},
          {"onOverdraftAction", monitor::overdraft_action_name(quota.setting.action)},
          {"notificationThresholds", std::move(thresholds)},
          {"exceeded", quota.used_up()},
          {"since", format_rfc3339(quota.since)}};
}

json::array quotas_to_json(const Services& services, const std::string& namespace_id) {
  json::array quotas;
  for (const auto& quota : services.quotas.of(namespace_id)) quotas.emplace_back(to_json(quota));
  return quotas;
}

Task<http::Response> set_namespace_quota(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto service, service_of(body));
  monitor::QuotaSetting setting;
  CO_TRY_ASSIGN(setting.limit, limit_of(body));
  CO_TRY_ASSIGN(const auto overdraft, model::get_number(body, "", "overdraft"));
  CO_TRY_ASSIGN(const auto action, model::get_string(body, "", "onOverdraftAction"));
  CO_TRY_ASSIGN(setting.thresholds, thresholds_of(body));
  setting.overdraft = overdraft.value_or(0);
  if (action) {
    auto parsed = monitor::parse_overdraft_action(*action);
    if (!parsed) co_return fail(std::move(parsed.error()).in("/onOverdraftAction"));
    setting.action = *parsed;
  }
  CO_TRY(monitor::validate(setting));
  CO_TRY_ASSIGN(const auto space, co_await space_of(services, call, body));
  CO_TRY_ASSIGN(const auto quota, co_await services.quotas.set(space.id, std::move(service), std::move(setting)));
  co_return one(space, quota);
}

Task<http::Response> reset_namespace_quota(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto service, service_of(body));
  CO_TRY_ASSIGN(const auto space, co_await space_of(services, call, body));
  CO_TRY_ASSIGN(const auto quota, co_await services.quotas.reset(space.id, std::move(service)));
  co_return one(space, quota);
}

Task<http::Response> list_credit_namespaces(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto page, co_await namespace_page(services, call));
  for (auto& space : page["data"].as_array()) {
    auto& object = space.as_object();
    object["quotas"] = quotas_to_json(services, std::string(object["id"].as_string()));
  }
  co_return answer(std::move(page));
}

Task<http::Response> get_credit_namespace(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto days, query_whole(call, "days", 30, 1, kMostDays));
  CO_TRY_ASSIGN(const auto space, co_await services.identity.namespaces().get(call.id()));
  const auto now = std::chrono::system_clock::now();
  CO_TRY_ASSIGN(const auto buckets,
                co_await services.usage.of_namespace(space.id, monitor::Period::day,
                                                     now - static_cast<std::int64_t>(days) * 24h, now + 1s));
  json::object data = namespace_to_json(services, space);
  json::array history;
  monitor::Usage sum;
  for (const auto& bucket : buckets) {
    json::object day = units_to_json(bucket.usage);
    day["date"] = format_rfc3339(bucket.start).substr(0, 10);
    history.emplace_back(std::move(day));
    sum += bucket.usage;
  }
  data["quotas"] = quotas_to_json(services, space.id);
  data["usage"] = units_to_json(sum);
  data["history"] = std::move(history);
  co_return answer({{"data", std::move(data)}});
}

Task<http::Response> set_credit_default(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY(check_level(body));
  monitor::DefaultQuota quota;
  CO_TRY_ASSIGN(quota.service, service_of(body));
  CO_TRY_ASSIGN(quota.limit, limit_of(body));
  CO_TRY_ASSIGN(const auto apply, model::get_flag(body, "", "autoApply"));
  quota.auto_apply = apply.value_or(false);
  CO_TRY_ASSIGN(quota, co_await services.quotas.set_default(std::move(quota)));
  co_return answer({{"data", default_to_json(quota)}});
}

Task<http::Response> get_credit_defaults(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto level, query_text(call, "level"));
  CO_TRY(check_level(level));
  CO_TRY_ASSIGN(const auto service, query_text(call, "service"));
  if (service) CO_TRY(check_service(*service));
  json::array all;
  json::value found;
  for (const auto& quota : services.quotas.defaults()) {
    all.emplace_back(default_to_json(quota));
    if (service == quota.service) found = default_to_json(quota);
  }
  co_return answer({{"data", service ? std::move(found) : json::value(all)}, {"defaults", std::move(all)}});
}

Task<http::Response> remove_credit_default(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY(check_level(body));
  CO_TRY_ASSIGN(auto service, service_of(body));
  CO_TRY(co_await services.quotas.remove_default(std::move(service)));
  co_return answer({{"deleted", true}});
}

Task<http::Response> toggle_credit_default(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY(check_level(body));
  CO_TRY_ASSIGN(auto service, service_of(body));
  CO_TRY_ASSIGN(const auto apply, model::get_flag(body, "", "autoApply"));
  if (!apply) co_return fail(Code::InvalidArgument, "/autoApply: is missing");
  CO_TRY_ASSIGN(const auto quota, co_await services.quotas.set_auto_apply(std::move(service), *apply));
  co_return answer({{"data", default_to_json(quota)}});
}

}  // namespace cofferdam::api

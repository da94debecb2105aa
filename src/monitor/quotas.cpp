#include "monitor/quotas.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace cofferdam::monitor {
namespace {

using identity::from_unix_ms;
using identity::to_unix_ms;

constexpr double kMostCredits = 1e12;
constexpr std::size_t kMaxThresholds = 16;
constexpr std::uint32_t kMostPercent = 1000;
constexpr double kHundred = 100;

bool is_amount(double number) { return std::isfinite(number) && number >= 0 && number <= kMostCredits; }

// "50,80,100".
std::string thresholds_text(const std::vector<std::uint32_t>& thresholds) {
  std::string text;
  for (const auto percent : thresholds) text += cat(text.empty() ? "" : ",", percent);
  return text;
}

std::vector<std::uint32_t> parse_thresholds(const std::string& text) {
  std::vector<std::uint32_t> thresholds;
  for (const auto& item : split(text, ',')) {
    if (const auto percent = parse_int("a threshold", item, 1, kMostPercent)) {
      thresholds.push_back(static_cast<std::uint32_t>(*percent));
    }
  }
  return thresholds;
}

Error no_default(const std::string& service) {
  return {Code::NotFound, cat("there is no default quota for '", service, "'"), "set one: POST /credits/defaults"};
}

}  // namespace

std::string_view overdraft_action_name(OverdraftAction action) {
  return action == OverdraftAction::block ? "block" : "stop_workspaces";
}

Result<OverdraftAction> parse_overdraft_action(std::string_view name) {
  if (name == "block") return OverdraftAction::block;
  if (name == "stop_workspaces") return OverdraftAction::stop_workspaces;
  return fail(Code::InvalidArgument, cat("'", name, "' is neither block nor stop_workspaces"));
}

Status validate(const QuotaSetting& setting) {
  if (!is_amount(setting.limit)) return fail(Code::InvalidArgument, "/quotaLimit: must be a number of credits from 0");
  if (!is_amount(setting.overdraft)) {
    return fail(Code::InvalidArgument, "/overdraft: must be a number of credits from 0");
  }
  const auto& thresholds = setting.thresholds;
  const bool good = thresholds.size() <= kMaxThresholds && std::is_sorted(thresholds.begin(), thresholds.end()) &&
                    std::all_of(thresholds.begin(), thresholds.end(),
                                [](std::uint32_t percent) { return percent >= 1 && percent <= kMostPercent; });
  if (good) return {};
  return fail(Code::InvalidArgument, cat("/notificationThresholds: must be at most ", kMaxThresholds,
                                         " ascending numbers of percent from 1 to ", kMostPercent));
}

Result<std::unique_ptr<Quotas>> Quotas::open(store::Database& database, identity::Clock clock) {
  std::unique_ptr<Quotas> quotas(new Quotas(database, std::move(clock)));
  auto load = [&quotas](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("SELECT namespace_id, service, quota, overdraft, action, thresholds, "
                                                 "used, since, told FROM credit_quotas"));
    for (const auto& row : rows) {
      Quota quota;
      quota.service = row.text(1);
      quota.setting.limit = row.real(2);
      quota.setting.overdraft = row.real(3);
      TRY_ASSIGN(quota.setting.action, parse_overdraft_action(row.text(4)));
      quota.setting.thresholds = parse_thresholds(row.text(5));
      quota.used = row.real(6);
      quota.since = from_unix_ms(row.integer(7));
      quota.told = static_cast<std::uint32_t>(row.integer(8));
      quotas->quotas_.emplace(Key(row.text(0), quota.service), std::move(quota));
    }
    TRY_ASSIGN(const auto defaults, connection.query("SELECT service, quota, auto_apply FROM credit_defaults"));
    for (const auto& row : defaults) {
      quotas->defaults_[row.text(0)] = {row.text(0), row.real(1), row.integer(2) != 0};
    }
    return {};
  };
  TRY(database.run_now(std::move(load)));
  return quotas;
}

std::vector<Quota> Quotas::of(const std::string& namespace_id) const {
  std::vector<Quota> found;
  for (auto at = quotas_.lower_bound({namespace_id, ""}); at != quotas_.end() && at->first.first == namespace_id;
       ++at) {
    found.push_back(at->second);
  }
  return found;
}

Task<void> Quotas::write(std::string namespace_id, Quota quota) {
  auto work = [id = std::move(namespace_id), quota = std::move(quota)](store::Connection& connection) -> Status {
    TRY(connection.execute(
        "INSERT INTO credit_quotas (namespace_id, service, quota, overdraft, action, thresholds, used, since, told) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (namespace_id, service) DO UPDATE SET quota = "
        "excluded.quota, overdraft = excluded.overdraft, action = excluded.action, thresholds = excluded.thresholds, "
        "used = excluded.used, since = excluded.since, told = excluded.told",
        {id, quota.service, quota.setting.limit, quota.setting.overdraft,
         std::string(overdraft_action_name(quota.setting.action)), thresholds_text(quota.setting.thresholds),
         quota.used, to_unix_ms(quota.since), std::int64_t{quota.told}}));
    return {};
  };
  co_return co_await database_.run(std::move(work), store::Durability::power_loss);
}

Task<void> Quotas::count(std::string namespace_id, Quota quota) {
  auto work = [id = std::move(namespace_id), quota = std::move(quota)](store::Connection& connection) -> Status {
    TRY(connection.execute("UPDATE credit_quotas SET used = $3, told = $4 WHERE namespace_id = $1 AND service = $2",
                           {id, quota.service, quota.used, std::int64_t{quota.told}}));
    return {};
  };
  co_return co_await database_.run(std::move(work), store::Durability::process_death);
}

Task<Quota> Quotas::set(std::string namespace_id, std::string service, QuotaSetting setting) {
  CO_TRY(validate(setting));
  const Key key(namespace_id, service);
  const auto before = quotas_.find(key);
  if (before == quotas_.end() && of(namespace_id).size() >= kMaxServices) {
    co_return fail(Code::ResourceExhausted, cat("the namespace has ", kMaxServices, " quotas already"));
  }
  Quota quota;
  quota.since = clock_.now();
  if (before != quotas_.end()) quota = before->second;
  quota.service = std::move(service);
  quota.setting = std::move(setting);
  quota.told = 0;
  // First here, so that what is counted meanwhile is counted on; the writes keep their order.
  const auto old = before == quotas_.end() ? std::nullopt : std::optional(before->second);
  quotas_[key] = quota;
  if (auto written = co_await write(std::move(namespace_id), quota); !written) {
    take_back(key, old);
    co_return fail(std::move(written.error()));
  }
  co_return quota;
}

// A change that could not be written. What was counted meanwhile stays counted.
void Quotas::take_back(const Key& key, const std::optional<Quota>& old) {
  const auto live = quotas_.find(key);
  if (live == quotas_.end()) return;
  if (!old) {
    quotas_.erase(live);
    return;
  }
  Quota back = *old;
  if (live->second.since == old->since) back.used = live->second.used;
  live->second = std::move(back);
}

Task<Quota> Quotas::reset(std::string namespace_id, std::string service) {
  const auto found = quotas_.find({namespace_id, service});
  if (found == quotas_.end()) {
    co_return fail(Code::NotFound, cat("the namespace has no quota for '", service, "'"),
                   "set one: POST /credits/namespace-quota");
  }
  Quota quota = found->second;
  quota.used = 0;
  quota.told = 0;
  quota.since = clock_.now();
  const Quota old = std::exchange(found->second, quota);
  if (auto written = co_await write(namespace_id, quota); !written) {
    take_back({namespace_id, service}, old);
    co_return fail(std::move(written.error()));
  }
  co_return quota;
}

Task<void> Quotas::forget_namespace(std::string namespace_id) {
  std::erase_if(quotas_, [&](const auto& item) { return item.first.first == namespace_id; });
  auto work = [id = std::move(namespace_id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM credit_quotas WHERE namespace_id = $1", {id}));
    return {};
  };
  co_return co_await database_.run(std::move(work));
}

Status Quotas::check(const std::string& namespace_id) const {
  for (const auto& quota : of(namespace_id)) {
    if (!quota.used_up()) continue;
    return fail(Code::ResourceExhausted,
                cat("the namespace has used ", quota.used, " credits of '", quota.service, "', and may use ",
                    quota.setting.limit, " and ", quota.setting.overdraft, " more"),
                std::string(kUsedUpHint));
  }
  return {};
}

Task<std::vector<QuotaNews>> Quotas::add(std::map<std::string, double> credits) {
  std::vector<QuotaNews> news;
  std::vector<std::pair<std::string, Quota>> changed;
  for (const auto& [namespace_id, used] : credits) {
    for (auto at = quotas_.lower_bound({namespace_id, ""}); at != quotas_.end() && at->first.first == namespace_id;
         ++at) {
      Quota& quota = at->second;
      quota.used += used;
      QuotaNews told{namespace_id, quota, std::nullopt, quota.used_up()};
      for (const auto percent : quota.setting.thresholds) {
        if (percent <= quota.told || quota.used * kHundred < quota.setting.limit * percent) continue;
        told.threshold = quota.told = percent;
      }
      if (told.threshold || told.used_up) news.push_back(std::move(told));
      changed.emplace_back(namespace_id, quota);
    }
  }
  for (auto& [namespace_id, quota] : changed) {
    CO_TRY(co_await count(std::move(namespace_id), std::move(quota)));
  }
  co_return news;
}

std::vector<DefaultQuota> Quotas::defaults() const {
  std::vector<DefaultQuota> all;
  all.reserve(defaults_.size());
  for (const auto& [service, quota] : defaults_) all.push_back(quota);
  return all;
}

Task<DefaultQuota> Quotas::set_default(DefaultQuota quota) {
  QuotaSetting setting;
  setting.limit = quota.limit;
  CO_TRY(validate(setting));
  if (!defaults_.contains(quota.service) && defaults_.size() >= kMaxServices) {
    co_return fail(Code::ResourceExhausted, cat("there are ", kMaxServices, " default quotas already"));
  }
  auto work = [quota](store::Connection& connection) -> Status {
    TRY(
        connection.execute("INSERT INTO credit_defaults (service, quota, auto_apply) VALUES ($1, $2, $3) ON CONFLICT "
                           "(service) DO UPDATE SET quota = excluded.quota, auto_apply = excluded.auto_apply",
                           {quota.service, quota.limit, std::int64_t{quota.auto_apply ? 1 : 0}}));
    return {};
  };
  CO_TRY(co_await database_.run(std::move(work)));
  defaults_[quota.service] = quota;
  co_return quota;
}

Task<DefaultQuota> Quotas::set_auto_apply(std::string service, bool on) {
  const auto found = defaults_.find(service);
  if (found == defaults_.end()) co_return fail(no_default(service));
  DefaultQuota quota = found->second;
  quota.auto_apply = on;
  co_return co_await set_default(std::move(quota));
}

Task<void> Quotas::remove_default(std::string service) {
  if (defaults_.erase(service) == 0) co_return fail(no_default(service));
  auto work = [service = std::move(service)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM credit_defaults WHERE service = $1", {service}));
    return {};
  };
  co_return co_await database_.run(std::move(work));
}

Task<void> Quotas::apply_defaults(std::string namespace_id) {
  for (const auto& quota : defaults()) {
    if (!quota.auto_apply || quotas_.contains({namespace_id, quota.service})) continue;
    QuotaSetting setting;
    setting.limit = quota.limit;
    CO_TRY(co_await set(namespace_id, quota.service, std::move(setting)));
  }
  co_return Status{};
}

}  // namespace cofferdam::monitor

// How many credits a namespace may use: counted as it uses them, until somebody begins anew. Used on the loop.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "monitor/usage.h"

namespace cofferdam::monitor {

enum class OverdraftAction { block, stop_workspaces };
std::string_view overdraft_action_name(OverdraftAction action);
Result<OverdraftAction> parse_overdraft_action(std::string_view name);

struct QuotaSetting {
  double limit = 0;  // credits; see Usage::credits
  double overdraft = 0;
  OverdraftAction action = OverdraftAction::block;
  std::vector<std::uint32_t> thresholds;  // percent of the limit, ascending, at which webhooks are told
};
Status validate(const QuotaSetting& setting);  // InvalidArgument with the field

struct Quota {
  std::string service;
  QuotaSetting setting;
  double used = 0;
  Time since;              // when it began to count
  std::uint32_t told = 0;  // the highest threshold that was told

  [[nodiscard]] bool used_up() const { return used >= setting.limit + setting.overdraft; }
};

struct DefaultQuota {
  std::string service;
  double limit = 0;
  bool auto_apply = false;  // to namespaces that are made from now on
};

// What adding to a namespace's use has come to.
struct QuotaNews {
  std::string namespace_id;
  Quota quota;
  std::optional<std::uint32_t> threshold;  // that was passed just now
  bool used_up = false;
};

// The hint of Quotas::check()'s refusal, and of nothing else.
inline constexpr std::string_view kUsedUpHint =
    "raise its quota or begin to count anew: POST /credits/namespace-quota, /credits/reset-quota";

class Quotas {
 public:
  static constexpr std::size_t kMaxServices = 16;  // of one namespace

  // Blocks. `database` has the tables of schema.h and outlives this.
  static Result<std::unique_ptr<Quotas>> open(store::Database& database, identity::Clock clock = {});

  [[nodiscard]] std::vector<Quota> of(const std::string& namespace_id) const;
  // What was used counts on, as long as the quota was there before.
  Task<Quota> set(std::string namespace_id, std::string service, QuotaSetting setting);
  Task<Quota> reset(std::string namespace_id, std::string service);  // NotFound
  Task<void> forget_namespace(std::string namespace_id);
  // ResourceExhausted when one of the namespace's quotas is used up.
  [[nodiscard]] Status check(const std::string& namespace_id) const;
  // What was used, of each namespace; what there is to tell of it.
  Task<std::vector<QuotaNews>> add(std::map<std::string, double> credits);

  [[nodiscard]] std::vector<DefaultQuota> defaults() const;
  Task<DefaultQuota> set_default(DefaultQuota quota);
  Task<DefaultQuota> set_auto_apply(std::string service, bool on);  // NotFound
  Task<void> remove_default(std::string service);                   // NotFound
  // To a namespace that was just made.
  Task<void> apply_defaults(std::string namespace_id);

 private:
  using Key = std::pair<std::string, std::string>;  // namespace, service
  Quotas(store::Database& database, identity::Clock clock) : database_(database), clock_(std::move(clock)) {}
  Task<void> write(std::string namespace_id, Quota quota);
  // What was used and told, of a quota that is there.
  Task<void> count(std::string namespace_id, Quota quota);
  void take_back(const Key& key, const std::optional<Quota>& old);
  store::Database& database_;
  identity::Clock clock_;
  std::map<Key, Quota> quotas_;
  std::map<std::string, DefaultQuota> defaults_;
};

}  // namespace cofferdam::monitor

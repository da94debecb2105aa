#include "monitor/logins.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::monitor {

Result<std::unique_ptr<Logins>> Logins::open(store::Database& database, const Rules& rules, identity::Clock clock) {
  std::unique_ptr<Logins> opened(new Logins(database, rules, std::move(clock)));
  auto load = [&opened](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("SELECT credential, address FROM watch_credentials"));
    for (const auto& row : rows) opened->addresses_[row.text(0)].insert(row.text(1));
    return {};
  };
  TRY(database.run_now(std::move(load)));
  return opened;
}

Findings Logins::failed(const std::string& address, const std::string& reason, Steady at) {
  const Rule* rule = rules_.for_host(RuleKind::failed_auth);
  if (rule == nullptr) return {};
  if (sources_.size() >= kMaxSources && !sources_.contains(address)) {
    sources_.erase(std::min_element(sources_.begin(), sources_.end(),
                                    [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
  }
  auto& source = sources_[address];
  source.last = at;
  source.failures.add(at, 1, rule->within);
  if (source.failures.sum() <= rule->over) return {};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rule->within).count();
  const std::string from = address.empty() ? "the Unix socket" : address;
  return {{rule,
           address,
           cat(source.failures.sum(), " wrong credentials came from ", from, " within ", seconds, " s"),
           {{"address", from}, {"failures", cat(source.failures.sum())}, {"last", reason.substr(0, 256)}}}};
}

Findings Logins::used(const std::string& credential, const std::string& address) {
  const Rule* rule = rules_.for_host(RuleKind::token_address);
  if (rule == nullptr) return {};
  auto known = addresses_.find(credential);
  if (known == addresses_.end()) {
    if (addresses_.size() >= kMaxCredentials) addresses_.erase(addresses_.begin());
    known = addresses_.emplace(credential, std::set<std::string>()).first;
  }
  auto& addresses = known->second;
  if (addresses.contains(address)) return {};
  const bool is_first = addresses.empty();
  if (addresses.size() < kMaxAddresses) {
    addresses.insert(address);
    unwritten_.emplace_back(credential, address);
  }
  if (is_first) return {};
  std::string before;
  for (const auto& other : addresses) {
    if (other != address && before.size() < 256) before += cat(before.empty() ? "" : " ", other);
  }
  return {{rule,
           cat(credential, " ", address),
           cat(credential, " was used from ", address, ", where it never came from"),
           {{"credential", credential}, {"address", address}, {"before", before}}}};
}

loop::Task<void> Logins::flush() {
  if (unwritten_.empty()) co_return Status{};
  auto write = [rows = std::exchange(unwritten_, {}),
                now = identity::to_unix_ms(clock_.now())](store::Connection& connection) -> Status {
    for (const auto& [credential, address] : rows) {
      TRY(
          connection.execute("INSERT INTO watch_credentials (credential, address, first) VALUES ($1, $2, $3) ON "
                             "CONFLICT DO NOTHING",
                             {credential, address, now}));
    }
    // Tokens come and go; those whose first use is a year past have ended.
    constexpr std::int64_t kKeptMs = 400LL * 24 * 3'600'000;
    TRY(connection.execute("DELETE FROM watch_credentials WHERE first < $1", {now - kKeptMs}));
    return {};
  };
  co_return co_await database_.run(std::move(write), store::Durability::process_death);
}

}  // namespace cofferdam::monitor

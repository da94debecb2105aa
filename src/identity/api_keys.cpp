#include "identity/api_keys.h"

#include <algorithm>
#include <tuple>

#include "base/id.h"
#include "base/text.h"
#include "crypto/constant_time.h"
#include "crypto/hmac.h"
#include "identity/admin.h"
#include "identity/token.h"

namespace cofferdam::identity {
namespace {

constexpr auto kUseWrittenEvery = std::chrono::minutes(1);
constexpr std::size_t kMaxKeys = 10'000;

struct KeyRow {
  ApiKey key;
  std::string mac;
};

Result<std::vector<KeyRow>> load(store::Connection& c) {
  TRY_ASSIGN(const auto rows, c.query("SELECT id, mac, scope, verbs, label, created_at, created_by, last_used_at "
                                      "FROM api_keys"));
  std::vector<KeyRow> keys;
  for (const auto& row : rows) {
    KeyRow found;
    found.key.client_id = row.text(0);
    found.mac = row.blob(1);
    TRY_ASSIGN(found.key.grant.scope, parse_scope(row.text(2)));
    TRY_ASSIGN(found.key.grant.verbs, VerbSet::parse(row.text(3)));
    found.key.label = row.text(4);
    found.key.created_at = from_unix_ms(row.integer(5));
    found.key.created_by = row.text(6);
    if (const auto used = row.find_integer(7)) found.key.last_used_at = from_unix_ms(*used);
    keys.push_back(std::move(found));
  }
  return keys;
}

}  // namespace

ApiKeys::ApiKeys(store::Database& database, SecureBytes key, Clock clock, Revocations& revocations,
                 ledger::Recorder* recorder)
    : database_(database),
      key_(std::move(key)),
      clock_(std::move(clock)),
      revocations_(revocations),
      recorder_(recorder) {}

Result<std::unique_ptr<ApiKeys>> ApiKeys::open(store::Database& database, SecureBytes key, Clock clock,
                                               Revocations& revocations, ledger::Recorder* recorder) {
  auto rows = database.run_now([](store::Connection& c) { return load(c); });
  if (!rows) return fail(std::move(rows.error()).in("load the API keys"));
  std::unique_ptr<ApiKeys> keys(new ApiKeys(database, std::move(key), std::move(clock), revocations, recorder));
  for (auto& row : *rows) {
    const auto id = row.key.client_id;
    const auto used = row.key.last_used_at;
    keys->keys_[id] = {std::move(row.key), std::move(row.mac), used, false};
  }
  return keys;
}

std::string ApiKeys::mac_of(std::string_view secret) const {
  return crypto::hmac_sha256(key_.view(), cat("api key ", secret));
}

Result<Principal> ApiKeys::check(std::string_view client_id, std::string_view client_secret) {
  const auto mac = mac_of(client_secret);
  const auto found = keys_.find(std::string(client_id));
  if (found == keys_.end() || !crypto::constant_time_equal(mac, found->second.mac)) {
    return fail(wrong_client_credentials());
  }
  Entry& entry = found->second;
  entry.key.last_used_at = clock_.now();
  entry.use_owed = true;
  return Principal{Principal::Kind::api_key, entry.key.client_id, 0, entry.key.grant};
}

loop::Task<MintedApiKey> ApiKeys::create(Principal by, ApiKeyRequest request) {
  CO_TRY(by.allows_on_account(Verb::admin));
  // An API key is used with many workspaces over years: a list of them is what tokens are for.
  if (std::holds_alternative<SomeWorkspaces>(request.scope)) {
    co_return fail(Code::InvalidArgument, "scope: an API key is for the account or for one namespace",
                   "mint a token for single workspaces");
  }
  CO_TRY(validate(request.scope));
  CO_TRY(validate_label(request.label));
  if (request.verbs.empty()) co_return fail(Code::InvalidArgument, "verbs: a key without any is good for nothing");
  const Grant grant{request.scope, request.verbs, by.grant.sources, std::nullopt};
  CO_TRY(refuse_wider(grant, by.grant, nullptr));
  // Where it may be used from is not kept with a key.
  if (!by.grant.sources.empty()) {
    co_return fail(Code::PermissionDenied, cat("'", by.id, "' is bound to source addresses, which an API key is not"));
  }
  if (keys_.size() >= kMaxKeys) co_return fail(Code::ResourceExhausted, cat("there are ", kMaxKeys, " API keys"));
  MintedApiKey minted{{new_id("key"), grant, request.label, clock_.now(), by.id, std::nullopt}, new_client_secret()};
  const auto mac = mac_of(minted.client_secret);
  auto work = [key = minted.key, mac](store::Connection& c) -> Status {
    TRY(
        c.execute("INSERT INTO api_keys (id, mac, scope, verbs, label, created_at, created_by) "
                  "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                  {key.client_id, store::Blob{mac}, scope_text(key.grant.scope), key.grant.verbs.text(), key.label,
                   to_unix_ms(key.created_at), key.created_by}));
    return {};
  };
  CO_TRY(co_await database_.run(std::move(work)));
  keys_[minted.key.client_id] = {minted.key, mac, std::nullopt, false};
  if (recorder_ != nullptr) {
    model::TokenIssued issued;
    issued.token = minted.key.client_id;
    issued.token_kind = "api key";
    issued.scope = scope_text(grant.scope);
    issued.verbs = grant.verbs.text();
    issued.label = request.label;
    recorder_->note({by.origin(), {}, std::move(issued)});
  }
  co_return minted;
}

loop::Task<void> ApiKeys::revoke(Principal by, std::string client_id) {
  CO_TRY(by.allows_on_account(Verb::admin));
  if (keys_.erase(client_id) == 0) {
    co_return fail(Code::NotFound, cat("there is no API key '", client_id.substr(0, 64), "'"));
  }
  if (recorder_ != nullptr) recorder_->note({by.origin(), {}, model::TokenRevoked{client_id, {}}});
  revocations_.announce({client_id, Ended::Reason::revoked});
  auto work = [client_id](store::Connection& c) -> Status {
    TRY(c.execute("DELETE FROM api_keys WHERE id = $1", {client_id}));
    return {};
  };
  co_return co_await database_.run(std::move(work));
}

Result<std::vector<ApiKey>> ApiKeys::list(const Principal& by) const {
  TRY(by.allows_on_account(Verb::admin));
  std::vector<ApiKey> found;
  found.reserve(keys_.size());
  for (const auto& [id, entry] : keys_) found.push_back(entry.key);
  std::sort(found.begin(), found.end(), [](const ApiKey& a, const ApiKey& b) {
    return std::tie(a.created_at, a.client_id) < std::tie(b.created_at, b.client_id);
  });
  return found;
}

loop::Task<void> ApiKeys::write_uses(Owed owed) {
  const Time now = clock_.now();
  std::vector<std::pair<std::string, Time>> uses;
  for (auto& [id, entry] : keys_) {
    const bool due = owed == Owed::all || !entry.use_written_at || now - *entry.use_written_at >= kUseWrittenEvery;
    if (!entry.use_owed || !due) continue;
    uses.emplace_back(id, *entry.key.last_used_at);
    entry.use_owed = false;
    entry.use_written_at = now;
  }
  if (uses.empty()) co_return Status{};
  auto work = [uses](store::Connection& c) -> Status {
    for (const auto& [id, time] : uses) {
      TRY(c.execute("UPDATE api_keys SET last_used_at = $2 WHERE id = $1", {id, to_unix_ms(time)}));
    }
    return {};
  };
  auto written = co_await database_.run(std::move(work));
  if (!written) {
    for (const auto& [id, time] : uses) {
      if (const auto entry = keys_.find(id); entry != keys_.end()) entry->second.use_owed = true;
    }
  }
  co_return written;
}

loop::Task<void> ApiKeys::maintain() { co_return co_await write_uses(Owed::due); }
loop::Task<void> ApiKeys::close() { co_return co_await write_uses(Owed::all); }

}  // namespace cofferdam::identity

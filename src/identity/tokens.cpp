#include "identity/tokens.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/id.h"
#include "base/text.h"
#include "crypto/hmac.h"
#include "identity/key_file.h"

namespace cofferdam::identity {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr auto kUseWrittenEvery = minutes(1);
constexpr auto kPruneEvery = hours(1);

tl::unexpected<Error> unknown_token() {
  return fail(Code::Unauthenticated, "the token is not known here: it has expired, was revoked, or is of another host");
}

tl::unexpected<Error> no_such_token(std::string_view id) {
  return fail(Code::NotFound, cat("there is no token '", id.substr(0, 64), "'"));
}

model::TokenIssued issued(const Token& token) {
  model::TokenIssued event;
  event.token = token.id;
  event.token_kind = kind_name(token.kind);
  event.scope = scope_text(token.grant.scope);
  event.verbs = token.grant.verbs.text();
  event.sources = sources_text(token.grant.sources);
  event.label = token.label;
  if (token.grant.expires_at) {
    event.expires_at = std::chrono::duration_cast<seconds>(token.grant.expires_at->time_since_epoch()).count();
  }
  return event;
}

// What a token of this scope is about.
model::Subject subject_of(const Scope& scope) {
  if (const auto* space = std::get_if<OneNamespace>(&scope)) return {{}, space->id};
  const auto* some = std::get_if<SomeWorkspaces>(&scope);
  return some != nullptr && some->ids.size() == 1 ? model::Subject{some->ids.front(), {}} : model::Subject{};
}

Result<Time> expiry(const TokenRequest& request, const Grant& own, Time now, const TokenLimits& limits) {
  const auto ttl = request.ttl.value_or(limits.default_ttl);
  if (ttl <= seconds(0) || ttl > limits.max_ttl) {
    return fail(Code::InvalidArgument, cat("ttl: ", ttl.count(), " s, 1 to ", limits.max_ttl.count(), " s can be"));
  }
  // A lifetime nobody asked for gives way; one that was asked for is refused where it is too long.
  if (!request.ttl && own.expires_at) return std::min<Time>(now + ttl, *own.expires_at);
  return now + ttl;
}

}  // namespace

Tokens::Tokens(store::Database& database, SecureBytes key, Clock clock, NamespaceOf namespace_of,
               Revocations& revocations, const TokenLimits& limits, ledger::Recorder* recorder)
    : database_(database),
      key_(std::move(key)),
      clock_(std::move(clock)),
      namespace_of_(std::move(namespace_of)),
      revocations_(revocations),
      limits_(limits),
      recorder_(recorder) {}

Result<std::unique_ptr<Tokens>> Tokens::open(store::Database& database, SecureBytes key, Clock clock,
                                             NamespaceOf namespace_of, Revocations& revocations,
                                             const TokenLimits& limits, ledger::Recorder* recorder) {
  TRY(check_same_key(database, "token", key));
  const Time now = clock.now();
  auto load = [now](store::Connection& c) { return token_table::load_live(c, now); };
  TRY_ASSIGN(auto rows, database.run_now(load));
  std::unique_ptr<Tokens> tokens(
      new Tokens(database, std::move(key), std::move(clock), std::move(namespace_of), revocations, limits, recorder));
  for (auto& token : rows.tokens) {
    const auto id = token.id;
    const auto used = token.last_used_at;
    tokens->live_[id] = {std::move(token), used, false};
  }
  for (auto& secret : rows.secrets) {
    tokens->secrets_[secret.mac] = {secret.token_id, secret.generation, secret.valid_until};
  }
  return tokens;
}

void Tokens::write_down(model::Origin by, const Scope& scope, model::Event event) {
  if (recorder_ != nullptr) recorder_->note({std::move(by), subject_of(scope), std::move(event)});
}

std::string Tokens::mac_of(std::string_view secret) const {
  return crypto::hmac_sha256(key_.view(), cat("token ", secret));
}

Result<Principal> Tokens::check(std::string_view presented, TokenKind kind, const std::optional<Address>& source) {
  TRY_ASSIGN(const TokenKind is, parse_token_text(presented));
  if (is != kind) {
    return fail(Code::Unauthenticated,
                cat("this is a ", kind_name(is), " token, and a ", kind_name(kind), " token is needed here"));
  }
  const Time now = clock_.now();
  const auto secret = secrets_.find(mac_of(presented));
  if (secret == secrets_.end()) return unknown_token();
  const auto found = live_.find(secret->second.token_id);
  if (found == live_.end() || found->second.token.kind != kind) return unknown_token();
  Live& live = found->second;
  if (*live.token.grant.expires_at <= now) return unknown_token();
  if (secret->second.valid_until && *secret->second.valid_until <= now) return unknown_token();
  const auto& sources = live.token.grant.sources;
  if (!sources.empty() && (!source || !any_contains(sources, *source))) {
    return fail(Code::PermissionDenied,
                cat("token ", live.token.id, " may not be used from ", source ? source->text() : "a local socket"),
                cat("it is good from ", sources_text(sources)));
  }
  live.token.last_used_at = now;
  live.use_owed = true;
  return Principal{Principal::Kind::token, live.token.id, secret->second.generation, live.token.grant};
}

Status Tokens::may_manage(const Principal& by) const {
  if (by.kind == Principal::Kind::anonymous) return by.allows_on_account(Verb::tokens);
  if (by.grant.verbs.has(Verb::tokens)) return {};
  return fail(Code::PermissionDenied, cat("'", by.id, "' lacks the verb 'tokens'"));
}

Result<const Tokens::Live*> Tokens::find(const Principal& by, std::string_view id) const {
  TRY(may_manage(by));
  const auto found = live_.find(std::string(id));
  if (found == live_.end() || *found->second.token.grant.expires_at <= clock_.now() ||
      beyond(found->second.token.grant.scope, by.grant.scope, namespace_of_)) {
    return no_such_token(id);
  }
  return &found->second;
}

Result<Token> Tokens::new_token(const Principal& by, const TokenRequest& request) const {
  TRY(may_manage(by));
  TRY(validate(request.scope));
  TRY(validate_label(request.label));
  if (request.verbs.empty()) return fail(Code::InvalidArgument, "verbs: a token without any is good for nothing");
  if (const auto verbs = request.verbs.without(runtime_verbs()); request.kind == TokenKind::runtime && !verbs.empty()) {
    return fail(Code::InvalidArgument, cat("verbs: a runtime token cannot have ", verbs.text()),
                "mint a control token for these");
  }
  const Time now = clock_.now();
  Token token;
  token.id = new_id("tok");
  token.kind = request.kind;
  token.grant.scope = request.scope;
  token.grant.verbs = request.verbs;
  token.grant.sources = request.sources.empty() ? by.grant.sources : request.sources;
  TRY_ASSIGN(token.grant.expires_at, expiry(request, by.grant, now, limits_));
  token.label = request.label;
  token.created_at = now;
  token.created_by = by.id;
  TRY(refuse_wider(token.grant, by.grant, namespace_of_));
  if (live_.size() >= limits_.max_live) {
    return fail(Code::ResourceExhausted, cat("there are ", live_.size(), " live tokens, as many as may be"),
                "revoke those that are not used, or mint shorter ones");
  }
  return token;
}

loop::Task<MintedToken> Tokens::mint(Principal by, TokenRequest request) {
  CO_TRY_ASSIGN(Token token, new_token(by, request));
  std::string secret = new_token_text(token.kind);
  const std::string mac = mac_of(secret);
  auto work = [token, mac](store::Connection& c) -> Status {
    return token_table::insert(c, token, {mac, token.id, token.generation, std::nullopt});
  };
  CO_TRY(co_await database_.run(std::move(work)));
  const std::string id = token.id;
  live_[id] = {token, std::nullopt, false};
  secrets_[mac] = {id, token.generation, std::nullopt};
  write_down(by.origin(), token.grant.scope, issued(token));
  if (by.kind == Principal::Kind::token && live_.find(by.id) == live_.end()) {
    // Revoked while its child was being written: the child was not there to be revoked with it.
    CO_TRY(co_await end_all(std::vector<std::string>{id}, {}, "who minted it was revoked meanwhile"));
    co_return unknown_token();
  }
  co_return MintedToken{std::move(token), std::move(secret)};
}

loop::Task<MintedToken> Tokens::rotate(Principal by, std::string id, std::chrono::seconds grace) {
  CO_TRY_ASSIGN(const Live* found, find(by, id));
  // Whoever gets the new secret gets all that the token may do.
  CO_TRY(refuse_wider(found->token.grant, by.grant, namespace_of_));
  if (grace < seconds(0) || grace > limits_.max_grace) {
    co_return fail(Code::InvalidArgument,
                   cat("grace: ", grace.count(), " s, 0 to ", limits_.max_grace.count(), " s can be"));
  }
  const Time now = clock_.now();
  const auto old_until = grace > seconds(0) ? std::optional<Time>(now + grace) : std::nullopt;
  std::string secret = new_token_text(found->token.kind);
  const TokenSecret next{mac_of(secret), id, found->token.generation + 1, std::nullopt};
  auto work = [next, old_until](store::Connection& c) { return token_table::replace_secret(c, next, old_until); };
  CO_TRY(co_await database_.run(std::move(work)));

  const auto live = live_.find(id);
  if (live == live_.end()) co_return no_such_token(id);  // revoked in the meantime, in the database too
  for (auto at = secrets_.begin(); at != secrets_.end();) {
    const bool old = at->second.token_id == id;
    if (old && (!old_until || at->second.valid_until)) {
      at = secrets_.erase(at);
      continue;
    }
    if (old) at->second.valid_until = old_until;
    ++at;
  }
  secrets_[next.mac] = {id, next.generation, std::nullopt};
  live->second.token.generation = next.generation;
  MintedToken minted{live->second.token, std::move(secret)};
  write_down(by.origin(), minted.token.grant.scope, model::TokenRotated{id, grace.count()});
  // In its grace the last secret lives on; the ones before it are over either way.
  const auto over = old_until ? next.generation - 2 : next.generation - 1;
  if (over > 0) revocations_.announce({id, Ended::Reason::rotated, over});
  co_return minted;
}

std::vector<std::string> Tokens::with_descendants(const std::string& id) const {
  std::vector<std::string> ids{id};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    for (const auto& [child, live] : live_) {
      if (live.token.created_by == ids[i]) ids.push_back(child);
    }
  }
  return ids;
}

void Tokens::end(const std::string& id, Ended::Reason reason) {
  live_.erase(id);
  std::erase_if(secrets_, [&](const auto& entry) { return entry.second.token_id == id; });
  revocations_.announce({id, reason});
}

loop::Task<std::size_t> Tokens::end_all(std::vector<std::string> ids, model::Origin by, std::string why) {
  for (const auto& id : ids) {
    const auto live = live_.find(id);
    write_down(by, live == live_.end() ? Scope() : live->second.token.grant.scope, model::TokenRevoked{id, why});
    end(id, Ended::Reason::revoked);
  }
  const std::size_t count = ids.size();
  auto work = [ids = std::move(ids), now = clock_.now()](store::Connection& c) {
    return token_table::revoke(c, ids, now);
  };
  CO_TRY(co_await database_.run(std::move(work)));
  co_return count;
}

loop::Task<std::size_t> Tokens::revoke(Principal by, std::string id, Descendants descendants) {
  CO_TRY(find(by, id));
  auto ids = descendants == Descendants::revoke ? with_descendants(id) : std::vector<std::string>{id};
  co_return co_await end_all(std::move(ids), by.origin());
}

loop::Task<std::size_t> Tokens::forget_workspace(std::string workspace_id) {
  std::vector<std::string> ids;
  for (const auto& [id, live] : live_) {
    const auto* some = std::get_if<SomeWorkspaces>(&live.token.grant.scope);
    const auto is_it = [&](const std::string& workspace) { return workspace == workspace_id; };
    if (some != nullptr && std::all_of(some->ids.begin(), some->ids.end(), is_it)) ids.push_back(id);
  }
  co_return co_await end_all(std::move(ids), {}, "its workspace was removed");
}

loop::Task<std::size_t> Tokens::forget_namespace(std::string namespace_id) {
  std::vector<std::string> ids;
  for (const auto& [id, live] : live_) {
    if (live.token.grant.scope == Scope(OneNamespace{namespace_id})) ids.push_back(id);
  }
  co_return co_await end_all(std::move(ids), {}, "its namespace was removed");
}

std::vector<Token> Tokens::reaching(const std::string& workspace_id) const {
  std::set<std::string> ids;
  for (const auto& [id, live] : live_) {
    const auto* some = std::get_if<SomeWorkspaces>(&live.token.grant.scope);
    if (some == nullptr || std::find(some->ids.begin(), some->ids.end(), workspace_id) == some->ids.end()) continue;
    for (const auto& child : with_descendants(id)) ids.insert(child);
  }
  std::vector<Token> found;
  found.reserve(ids.size());
  for (const auto& id : ids) found.push_back(live_.at(id).token);
  return found;
}

std::vector<Token> Tokens::covering(const std::string& workspace_id, const std::string& namespace_id) const {
  std::vector<Token> found;
  for (const auto& [id, live] : live_) {
    if (covers(live.token.grant.scope, workspace_id, namespace_id)) found.push_back(live.token);
  }
  std::sort(found.begin(), found.end(),
            [](const Token& a, const Token& b) { return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id); });
  return found;
}

loop::Task<std::size_t> Tokens::revoke_all(std::vector<std::string> ids, model::Origin by, std::string why) {
  std::erase_if(ids, [this](const std::string& id) { return live_.find(id) == live_.end(); });
  co_return co_await end_all(std::move(ids), std::move(by), std::move(why));
}

Result<std::vector<Token>> Tokens::list(const Principal& by, const TokenFilter& filter) const {
  TRY(may_manage(by));
  const Time now = clock_.now();
  std::vector<Token> found;
  for (const auto& [id, live] : live_) {
    const bool expired = *live.token.grant.expires_at <= now;
    if (expired || !matches(live.token, filter) || beyond(live.token.grant.scope, by.grant.scope, namespace_of_))
      continue;
    found.push_back(live.token);
  }
  std::sort(found.begin(), found.end(),
            [](const Token& a, const Token& b) { return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id); });
  return found;
}

Result<Token> Tokens::get(const Principal& by, std::string_view id) const {
  TRY_ASSIGN(const Live* found, find(by, id));
  return found->token;
}

loop::Task<std::vector<Token>> Tokens::history(Principal by, std::size_t limit) {
  CO_TRY(by.allows_on_account(Verb::tokens));
  auto work = [now = clock_.now(), limit = std::min<std::size_t>(limit, 1000)](store::Connection& c) {
    return token_table::load_ended(c, now, limit);
  };
  co_return co_await database_.run(std::move(work));
}

void Tokens::end_expired() {
  const Time now = clock_.now();
  std::vector<std::string> expired;
  for (const auto& [id, live] : live_) {
    if (*live.token.grant.expires_at <= now) expired.push_back(id);
  }
  for (const auto& id : expired) {
    write_down({}, live_[id].token.grant.scope, model::TokenExpired{id});
    end(id, Ended::Reason::expired);
  }
  // The grace of a rotated secret: the token goes on, what was opened with the old secret does not.
  std::vector<Ended> rotated;
  for (auto at = secrets_.begin(); at != secrets_.end();) {
    if (at->second.valid_until && *at->second.valid_until <= now) {
      rotated.push_back({at->second.token_id, Ended::Reason::rotated, at->second.generation});
      at = secrets_.erase(at);
    } else {
      ++at;
    }
  }
  for (const auto& ended : rotated) revocations_.announce(ended);
}

loop::Task<void> Tokens::write_uses(Owed owed) {
  const Time now = clock_.now();
  std::vector<std::pair<std::string, Time>> uses;
  for (auto& [id, live] : live_) {
    const bool due = owed == Owed::all || !live.use_written_at || now - *live.use_written_at >= kUseWrittenEvery ||
                     *live.token.grant.expires_at <= now;
    if (!live.use_owed || !due) continue;
    uses.emplace_back(id, *live.token.last_used_at);
    live.use_owed = false;
    live.use_written_at = now;
  }
  if (uses.empty()) co_return Status{};
  auto work = [uses](store::Connection& c) { return token_table::set_last_used(c, uses); };
  auto written = co_await database_.run(std::move(work));
  if (written) co_return Status{};
  for (const auto& [id, time] : uses) {
    if (const auto live = live_.find(id); live != live_.end()) live->second.use_owed = true;
  }
  co_return written;
}

loop::Task<void> Tokens::maintain() {
  const auto written = co_await write_uses(Owed::due);
  end_expired();
  CO_TRY(written);
  const Time now = clock_.now();
  if (pruned_at_ && now - *pruned_at_ < kPruneEvery) co_return Status{};
  pruned_at_ = now;
  auto work = [now, before = now - limits_.ended_kept](store::Connection& c) {
    return token_table::prune(c, now, before);
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<void> Tokens::close() { co_return co_await write_uses(Owed::all); }

}  // namespace cofferdam::identity

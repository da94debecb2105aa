#include "identity/token_table.h"

#include "base/text.h"

namespace cofferdam::identity::token_table {
namespace {

constexpr auto kColumns =
    "id, kind, scope, verbs, sources, expires_at, label, created_at, created_by, generation, last_used_at, revoked_at";

std::optional<Time> time_of(const store::Row& row, std::size_t column) {
  const auto ms = row.find_integer(column);
  return ms ? std::optional(from_unix_ms(*ms)) : std::nullopt;
}

std::optional<std::int64_t> ms_of(const std::optional<Time>& time) {
  return time ? std::optional(to_unix_ms(*time)) : std::nullopt;
}

Result<Token> token_of(const store::Row& row) {
  Token token;
  token.id = row.text(0);
  TRY_ASSIGN(token.kind, parse_kind(row.text(1)));
  TRY_ASSIGN(token.grant.scope, parse_scope(row.text(2)));
  TRY_ASSIGN(token.grant.verbs, VerbSet::parse(row.text(3)));
  TRY_ASSIGN(token.grant.sources, parse_sources(row.text(4)));
  token.grant.expires_at = from_unix_ms(row.integer(5));
  token.label = row.text(6);
  token.created_at = from_unix_ms(row.integer(7));
  token.created_by = row.text(8);
  token.generation = static_cast<std::uint64_t>(row.integer(9));
  token.last_used_at = time_of(row, 10);
  token.revoked_at = time_of(row, 11);
  return token;
}

Result<std::vector<Token>> tokens_of(const std::vector<store::Row>& rows) {
  std::vector<Token> tokens;
  for (const auto& row : rows) {
    auto token = token_of(row);
    // A row we cannot read must not come to mean less than it said.
    if (!token) return fail(Code::DataLoss, cat("token ", row.text(0), " in the database: ", token.error().message));
    tokens.push_back(std::move(*token));
  }
  return tokens;
}

Status insert_secret(store::Connection& c, const TokenSecret& secret) {
  TRY(c.execute("INSERT INTO token_secrets (mac, token_id, generation, valid_until) VALUES ($1, $2, $3, $4)",
                {store::Blob{secret.mac}, secret.token_id, static_cast<std::int64_t>(secret.generation),
                 store::nullable(ms_of(secret.valid_until))}));
  return {};
}

}  // namespace

Result<TokenRows> load_live(store::Connection& c, Time now) {
  const std::int64_t ms = to_unix_ms(now);
  TRY_ASSIGN(const auto rows,
             c.query(cat("SELECT ", kColumns, " FROM tokens WHERE revoked_at IS NULL AND expires_at > $1"), {ms}));
  TokenRows live;
  TRY_ASSIGN(live.tokens, tokens_of(rows));
  TRY_ASSIGN(const auto secrets,
             c.query("SELECT s.mac, s.token_id, s.generation, s.valid_until FROM token_secrets s "
                     "JOIN tokens t ON t.id = s.token_id WHERE t.revoked_at IS NULL AND t.expires_at > $1 "
                     "AND (s.valid_until IS NULL OR s.valid_until > $1)",
                     {ms}));
  for (const auto& row : secrets) {
    live.secrets.push_back({row.blob(0), row.text(1), static_cast<std::uint64_t>(row.integer(2)), time_of(row, 3)});
  }
  return live;
}

Result<std::vector<Token>> load_ended(store::Connection& c, Time now, std::size_t limit) {
  TRY_ASSIGN(const auto rows,
             c.query(cat("SELECT ", kColumns,
                         " FROM tokens WHERE revoked_at IS NOT NULL OR expires_at <= $1 "
                         "ORDER BY min(coalesce(revoked_at, expires_at), expires_at) DESC, id DESC LIMIT $2"),
                     {to_unix_ms(now), static_cast<std::int64_t>(limit)}));
  return tokens_of(rows);
}

Status insert(store::Connection& c, const Token& token, const TokenSecret& secret) {
  TRY(c.execute(cat("INSERT INTO tokens (", kColumns, ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"),
                {token.id, std::string(kind_name(token.kind)), scope_text(token.grant.scope), token.grant.verbs.text(),
                 sources_text(token.grant.sources), to_unix_ms(token.grant.expires_at.value()), token.label,
                 to_unix_ms(token.created_at), token.created_by, static_cast<std::int64_t>(token.generation),
                 store::nullable(ms_of(token.last_used_at)), store::nullable(ms_of(token.revoked_at))}));
  return insert_secret(c, secret);
}

Status replace_secret(store::Connection& c, const TokenSecret& secret, std::optional<Time> old_until) {
  const auto generation = static_cast<std::int64_t>(secret.generation);
  TRY_ASSIGN(const auto changed,
             c.execute("UPDATE tokens SET generation = $2 WHERE id = $1 AND generation = $2 - 1 AND revoked_at IS NULL",
                       {secret.token_id, generation}));
  if (changed == 0) return fail(Code::Aborted, cat("token ", secret.token_id, " was changed in the meantime"));
  TRY(c.execute("DELETE FROM token_secrets WHERE token_id = $1 AND (valid_until IS NOT NULL OR $2 IS NULL)",
                {secret.token_id, store::nullable(ms_of(old_until))}));
  TRY(c.execute("UPDATE token_secrets SET valid_until = $2 WHERE token_id = $1",
                {secret.token_id, store::nullable(ms_of(old_until))}));
  return insert_secret(c, secret);
}

Status revoke(store::Connection& c, const std::vector<std::string>& ids, Time now) {
  for (const auto& id : ids) {
    TRY(c.execute("UPDATE tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", {id, to_unix_ms(now)}));
    TRY(c.execute("DELETE FROM token_secrets WHERE token_id = $1", {id}));
  }
  return {};
}

Status set_last_used(store::Connection& c, const std::vector<std::pair<std::string, Time>>& uses) {
  for (const auto& [id, time] : uses) {
    TRY(c.execute("UPDATE tokens SET last_used_at = $2 WHERE id = $1", {id, to_unix_ms(time)}));
  }
  return {};
}

Status prune(store::Connection& c, Time now, Time before) {
  TRY(c.execute("DELETE FROM tokens WHERE expires_at <= $1 OR revoked_at <= $1", {to_unix_ms(before)}));
  TRY(c.execute("DELETE FROM token_secrets WHERE valid_until <= $1", {to_unix_ms(now)}));
  return {};
}

}  // namespace cofferdam::identity::token_table

#include "identity/secrets.h"

#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "identity/key_file.h"
#include "identity/token_text.h"

namespace cofferdam::identity {
namespace {

using store::Connection;

constexpr std::size_t kMaxName = 128;
constexpr std::size_t kMaxValue = 64U << 10;
constexpr std::int64_t kMaxSecrets = 256;
constexpr std::size_t kMaxDelivered = 256;

// Binds the cipher text to its place: a row moved to another name or namespace does not open. Neither part has a NUL.
std::string place_of(std::string_view namespace_id, std::string_view name) {
  return cat("cofferdam secret", '\0', namespace_id, '\0', name);
}

Status check_name(std::string_view name) {
  if (is_secret_name(name)) return {};
  return fail(Code::InvalidArgument, "name: letters, digits and '_', not a digit first, at most 128 bytes");
}

Status check_value(std::string_view value) {
  if (value.empty() || value.size() > kMaxValue || value.find('\0') != std::string_view::npos) {
    return fail(Code::InvalidArgument, "value: 1 to 65536 bytes without NUL");
  }
  if (looks_like_control_token(value)) {
    return fail(Code::InvalidArgument, "value: it holds a control credential of this host, which no workspace may have",
                "mint a runtime token for what the workspace is to do");
  }
  return {};
}

tl::unexpected<Error> no_such_secret(std::string_view name) {
  return fail(Code::NotFound, cat("there is no secret '", name.substr(0, kMaxName), "' in the namespace"));
}

SecretInfo info_of(const store::Row& row) {
  return {row.text(0), from_unix_ms(row.integer(1)), from_unix_ms(row.integer(2))};
}

Result<SecretInfo> find(Connection& c, const std::string& space, const std::string& name) {
  TRY_ASSIGN(const auto rows, c.query("SELECT name, created_at, updated_at FROM secrets WHERE namespace_id = $1 "
                                      "AND name = $2",
                                      {space, name}));
  if (rows.empty()) return no_such_secret(name);
  return info_of(rows.front());
}

Result<SecretInfo> put(Connection& c, const std::string& space, const std::string& name, const std::string& sealed,
                       Time now) {
  TRY_ASSIGN(const auto there, c.query("SELECT 1 FROM namespaces WHERE id = $1", {space}));
  if (there.empty()) return fail(Code::NotFound, cat("there is no namespace '", space.substr(0, 64), "'"));
  TRY_ASSIGN(const auto others,
             c.query("SELECT count(*) FROM secrets WHERE namespace_id = $1 AND name <> $2", {space, name}));
  if (others.front().integer(0) >= kMaxSecrets) {
    return fail(Code::ResourceExhausted, cat("the namespace has ", kMaxSecrets, " secrets, as many as may be"));
  }
  TRY(
      c.execute("INSERT INTO secrets (namespace_id, name, sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $4) "
                "ON CONFLICT (namespace_id, name) DO UPDATE SET sealed = excluded.sealed, "
                "updated_at = excluded.updated_at",
                {space, name, store::Blob{sealed}, to_unix_ms(now)}));
  return find(c, space, name);
}

}  // namespace

bool is_secret_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  const auto fits = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kMaxName && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), fits);
}

Result<std::unique_ptr<Secrets>> Secrets::open(store::Database& database, SecureBytes key, Clock clock) {
  if (key.size() != crypto::kAeadKeyBytes) return fail(Code::InvalidArgument, "the key of the secrets has no 32 bytes");
  TRY(check_same_key(database, "secrets", key));
  return std::unique_ptr<Secrets>(new Secrets(database, std::move(key), std::move(clock)));
}

loop::Task<SecretInfo> Secrets::set(std::string namespace_id, std::string name, SecureBytes value) {
  CO_TRY(check_name(name));
  CO_TRY(check_value(value.view()));
  // Sealed here: what waits for the database's thread is cipher text.
  auto work = [namespace_id, name, sealed = crypto::seal(key_, value.view(), place_of(namespace_id, name)),
               now = clock_.now()](Connection& c) { return put(c, namespace_id, name, sealed, now); };
  co_return co_await database_.run(std::move(work));
}

loop::Task<SecretInfo> Secrets::get(std::string namespace_id, std::string name) {
  auto work = [namespace_id = std::move(namespace_id), name = std::move(name)](Connection& c) {
    return find(c, namespace_id, name);
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<std::vector<SecretInfo>> Secrets::list(std::string namespace_id) {
  auto work = [namespace_id = std::move(namespace_id)](Connection& c) -> Result<std::vector<SecretInfo>> {
    TRY_ASSIGN(const auto rows, c.query("SELECT name, created_at, updated_at FROM secrets WHERE namespace_id = $1 "
                                        "ORDER BY name",
                                        {namespace_id}));
    std::vector<SecretInfo> found;
    for (const auto& row : rows) found.push_back(info_of(row));
    return found;
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<void> Secrets::remove(std::string namespace_id, std::string name) {
  auto work = [namespace_id = std::move(namespace_id), name = std::move(name)](Connection& c) -> Status {
    TRY_ASSIGN(const auto removed,
               c.execute("DELETE FROM secrets WHERE namespace_id = $1 AND name = $2", {namespace_id, name}));
    if (removed == 0) return no_such_secret(name);
    return {};
  };
  CO_TRY(co_await database_.run(std::move(work)));
  // It is gone; what holds this up (somebody who reads the file) only delays that its cipher text is overwritten.
  if (const auto wiped = co_await database_.checkpoint(); !wiped) {
    log_warn("what was removed is overwritten later", {{"why", wiped.error().message}});
  }
  co_return Status{};
}

loop::Task<Secrets::Delivery> Secrets::reveal_for_delivery(std::string namespace_id, std::vector<std::string> names) {
  if (names.size() > kMaxDelivered) {
    co_return fail(Code::InvalidArgument, cat("names: ", names.size(), ", at most ", kMaxDelivered));
  }
  auto work = [namespace_id, names](Connection& c) -> Result<std::vector<std::string>> {
    std::vector<std::string> sealed;
    for (const auto& name : names) {
      TRY_ASSIGN(const auto rows,
                 c.query("SELECT sealed FROM secrets WHERE namespace_id = $1 AND name = $2", {namespace_id, name}));
      if (rows.empty()) return no_such_secret(name);
      sealed.push_back(rows.front().blob(0));
    }
    return sealed;
  };
  CO_TRY_ASSIGN(const auto sealed, co_await database_.run(std::move(work)));
  Delivery delivery;
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto value = crypto::unseal(key_, sealed[i], place_of(namespace_id, names[i]));
    if (!value) co_return fail(std::move(value.error()).in(cat("secret '", names[i], "'")));
    delivery.emplace_back(names[i], std::move(*value));
  }
  co_return delivery;
}

}  // namespace cofferdam::identity

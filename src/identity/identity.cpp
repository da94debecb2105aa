#include "identity/identity.h"

#include "base/text.h"
#include "identity/key_file.h"
#include "identity/token_text.h"

namespace cofferdam::identity {

Result<std::unique_ptr<Identity>> Identity::open(store::Database& database, const IdentityOptions& options) {
  const auto& state = options.state_dir;
  TRY_ASSIGN(const auto token_key, load_or_make_key(state + "/keys/token.key"));
  TRY_ASSIGN(auto secrets_key, load_or_make_key(state + "/keys/secrets.key"));
  TRY_ASSIGN(auto administrator, Administrator::open(state + "/admin.json", token_key.clone()));
  std::unique_ptr<Identity> identity(new Identity(std::move(administrator), Throttle(options.clock, options.throttle)));
  auto& revocations = *identity->revocations_;
  identity->recorder_ = options.recorder;
  TRY_ASSIGN(identity->tokens_, Tokens::open(database, token_key.clone(), options.clock, options.namespace_of,
                                             revocations, options.tokens, options.recorder));
  TRY_ASSIGN(identity->api_keys_,
             ApiKeys::open(database, token_key.clone(), options.clock, revocations, options.recorder));
  TRY_ASSIGN(identity->namespaces_, Namespaces::open(database, options.clock));
  TRY_ASSIGN(identity->secrets_, Secrets::open(database, std::move(secrets_key), options.clock));
  return identity;
}

Result<Principal> Identity::look_up(const Credentials& credentials, TokenKind kind,
                                    const std::optional<Address>& source) {
  if (!credentials.bearer.empty()) return tokens_->check(credentials.bearer, kind, source);
  if (kind == TokenKind::runtime) {
    return fail(Code::Unauthenticated, "a runtime token is needed here, and no client id",
                "send \"Authorization: Bearer TOKEN\" with a token of the workspace");
  }
  if (auto principal = administrator_.check(credentials.client_id, credentials.client_secret)) return principal;
  return api_keys_->check(credentials.client_id, credentials.client_secret);
}

Result<Principal> Identity::authenticate(const Credentials& credentials, TokenKind kind,
                                         const std::optional<Address>& source) {
  if (source) TRY(throttle_.admit(*source));
  if (credentials.bearer.empty() && credentials.client_id.empty() && credentials.client_secret.empty()) {
    // Nobody was guessed at.
    TRY(Principal().allows_on_account(Verb::read));
  }
  auto principal = look_up(credentials, kind, source);
  if (!principal) write_refusal(credentials, source, principal.error());
  if (!source) return principal;
  if (principal) {
    throttle_.succeeded(*source);
  } else if (principal.error().code == Code::Unauthenticated) {
    throttle_.failed(*source);
  }
  return principal;
}

// The first at once, those that follow from the same source as a number, every few seconds.
void Identity::write_refusal(const Credentials& credentials, const std::optional<Address>& source, const Error& error) {
  constexpr std::size_t kMaxSources = 1024;
  constexpr std::size_t kMaxId = 64;
  if (recorder_ == nullptr) return;
  const std::string address = source ? source->text() : "";
  if (const auto known = refused_.find(address); known != refused_.end()) {
    ++known->second.times;
    known->second.reason = error.message;
    return;
  }
  model::TokenRefused refused;
  const auto kind = parse_token_text(credentials.bearer);
  refused.credential = !credentials.bearer.empty() ? cat(kind ? kind_name(*kind) : "malformed", " token")
                                                   : cat("client id ", credentials.client_id.substr(0, kMaxId));
  refused.reason = error.message;
  recorder_->note({{"", address, ""}, {}, refused});
  refused.times = 0;
  if (refused_.size() < kMaxSources) refused_.emplace(address, std::move(refused));
}

void Identity::write_refusals() {
  if (recorder_ == nullptr) return;
  for (auto& [address, refused] : std::exchange(refused_, {})) {
    if (refused.times > 0) recorder_->note({{"", address, ""}, {}, refused});
  }
}

loop::Task<void> Identity::remove_namespace(std::string id_or_slug) {
  CO_TRY_ASSIGN(const Namespace removed, co_await namespaces_->remove(std::move(id_or_slug)));
  CO_TRY(co_await tokens_->forget_namespace(removed.id));
  co_return Status{};
}

loop::Task<void> Identity::maintain() {
  write_refusals();
  const auto tokens = co_await tokens_->maintain();
  CO_TRY(co_await api_keys_->maintain());
  co_return tokens;
}

loop::Task<void> Identity::close() {
  write_refusals();
  const auto tokens = co_await tokens_->close();
  CO_TRY(co_await api_keys_->close());
  co_return tokens;
}

}  // namespace cofferdam::identity

// Runtime tokens of a workspace: whoever may mint tokens gets one that is good for it alone.
#include "api/runtime_access.h"

#include <algorithm>

#include "api/handlers.h"
#include "base/text.h"
#include "base/time.h"

namespace cofferdam::api {
namespace {

constexpr std::chrono::hours kTtl{24};
// A client that got a token keeps it for an hour.
constexpr std::chrono::hours kWorthTelling{2};
constexpr std::string_view kLabel = "runtime access";

std::string runtime_url(const Services& services, const Call& call) {
  const auto& address = services.facts.address;
  const auto* host = call.request.headers.find("Host");
  if (call.request.peer.local() || host == nullptr) return address;
  return cat(address.starts_with("https:") ? "https://" : "http://", *host);
}

Result<std::vector<identity::Token>> runtime_tokens(Services& services, const Call& call) {
  identity::TokenFilter filter;
  filter.workspace_id = call.id();
  TRY_ASSIGN(auto tokens, services.identity.tokens().list(call.who(), filter));
  // A token for other workspaces too is not this one's to end.
  const identity::Scope scope = identity::SomeWorkspaces{{call.id()}};
  std::erase_if(tokens, [&](const identity::Token& token) {
    return token.kind != identity::TokenKind::runtime || token.grant.scope != scope;
  });
  return tokens;
}

Task<http::Response> mint(Services& services, Call& call) {
  using std::chrono::system_clock;
  identity::TokenRequest request;
  request.kind = identity::TokenKind::runtime;
  request.scope = identity::SomeWorkspaces{{call.id()}};
  const auto& own = call.who().grant;
  request.verbs = identity::runtime_verbs();
  request.verbs = request.verbs.without(identity::VerbSet::all().without(own.verbs));
  request.label = kLabel;
  const auto now = system_clock::now();
  // As long as a token lives that a client keeps for an hour, and no longer than the one who asks.
  request.ttl = std::chrono::seconds(kTtl);
  if (own.expires_at && *own.expires_at < now + kTtl) request.ttl.reset();
  CO_TRY_ASSIGN(auto minted, co_await services.identity.tokens().mint(call.who(), std::move(request)));
  boost::json::object body{{"enabled", true},
                           {"running", true},
                           {"token", minted.secret},
                           {"token_id", minted.token.id},
                           {"expires_at", format_rfc3339(*minted.token.grant.expires_at)},
                           {"runtime_url", runtime_url(services, call)}};
  RuntimeAccess::Held held{minted.token.id, SecureBytes::copy_of(minted.secret), *minted.token.grant.expires_at};
  services.runtime_access.keep(call.id(), call.who().id, std::move(held));
  co_return answer(std::move(body));
}

Task<std::size_t> revoke_all(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto tokens, runtime_tokens(services, call));
  services.runtime_access.forget(call.id());
  std::size_t ended = 0;
  for (const auto& token : tokens) {
    auto revoked = co_await services.identity.tokens().revoke(call.who(), token.id, identity::Descendants::revoke);
    if (!revoked && revoked.error().code != Code::NotFound) co_return fail(std::move(revoked.error()));
    ended += revoked.value_or(0);
  }
  co_return ended;
}

}  // namespace

const RuntimeAccess::Held* RuntimeAccess::find(const std::string& workspace_id, const std::string& who,
                                               identity::Time good_until) const {
  const auto found = held_.find({workspace_id, who});
  return found == held_.end() || found->second.expires_at < good_until ? nullptr : &found->second;
}

void RuntimeAccess::keep(const std::string& workspace_id, const std::string& who, Held held) {
  held_[{workspace_id, who}] = std::move(held);
}

void RuntimeAccess::forget(const std::string& workspace_id) {
  std::erase_if(held_, [&](const auto& item) { return item.first.first == workspace_id; });
}

Task<http::Response> get_runtime_access(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto tokens, runtime_tokens(services, call));
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  co_return answer({{"enabled", !tokens.empty()},
                    {"running", info.state == model::State::running},
                    {"runtime_url", runtime_url(services, call)}});
}

Task<http::Response> enable_runtime_access(Services& services, Call& call) {
  const auto* held =
      services.runtime_access.find(call.id(), call.who().id, std::chrono::system_clock::now() + kWorthTelling);
  if (held != nullptr && services.identity.tokens().get(call.who(), held->token_id)) {
    co_return answer({{"enabled", true},
                      {"running", true},
                      {"token", held->secret.view()},
                      {"token_id", held->token_id},
                      {"expires_at", format_rfc3339(held->expires_at)},
                      {"runtime_url", runtime_url(services, call)}});
  }
  co_return co_await mint(services, call);
}

Task<http::Response> disable_runtime_access(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto ended, co_await revoke_all(services, call));
  co_return answer({{"enabled", false}, {"revoked", ended}});
}

Task<http::Response> rotate_runtime_token(Services& services, Call& call) {
  CO_TRY(co_await revoke_all(services, call));
  co_return co_await mint(services, call);
}

}  // namespace cofferdam::api

// Tokens: minted, listed, rotated, revoked. What a caller may do with them, identity says.
#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Token;
using identity::TokenKind;
using identity::VerbSet;

constexpr int kCreated = 201;
constexpr std::chrono::seconds kDefaultTtl{900};
constexpr std::uint64_t kMaxGraceSeconds = 86'400;

std::string_view scope_word(const identity::Scope& scope) {
  if (std::holds_alternative<identity::WholeAccount>(scope)) return "account";
  return std::holds_alternative<identity::OneNamespace>(scope) ? "namespace" : "workspace";
}

Task<json::object> shape(Services& services, Token token) {
  const auto& grant = token.grant;
  json::object object{{"id", token.id},
                      {"kind", identity::kind_name(token.kind)},
                      {"scope", scope_word(grant.scope)},
                      {"verbs", to_array(grant.verbs.names())},
                      {"label", token.label},
                      {"created_at", format_rfc3339(token.created_at)},
                      {"created_by", token.created_by},
                      {"generation", token.generation},
                      {"expires_at", time_or_null(grant.expires_at)},
                      {"last_used_at", time_or_null(token.last_used_at)}};
  json::array sources;
  for (const auto& source : grant.sources) sources.emplace_back(source.text());
  object["sources"] = std::move(sources);
  if (const auto* space = std::get_if<identity::OneNamespace>(&grant.scope)) {
    CO_TRY_ASSIGN(const auto slug, co_await slug_of(services, space->id));
    object["namespace"] = slug;
    object["namespace_id"] = space->id;
  }
  if (const auto* some = std::get_if<identity::SomeWorkspaces>(&grant.scope))
    object["workspaces"] = to_array(some->ids);
  co_return object;
}

// Everything of the answer that tells a secret.
Task<http::Response> told(Services& services, identity::MintedToken minted, int status) {
  const auto expires = minted.token.grant.expires_at;
  const auto created = minted.token.created_at;
  CO_TRY_ASSIGN(json::object whole, co_await shape(services, minted.token));
  whole["token"] = minted.secret;
  whole["expiresAt"] = time_or_null(expires);
  if (expires) whole["ttl"] = std::chrono::round<std::chrono::seconds>(*expires - created).count();
  co_return answer(std::move(whole), status);
}

Task<identity::Scope> scope_of(Services& services, Call& call, json::object body) {
  CO_TRY_ASSIGN(const std::string word, required_text(body, "scope"));
  if (word == "account") co_return identity::Scope(identity::WholeAccount{});
  if (word == "namespace") {
    CO_TRY_ASSIGN(const auto name, model::get_string(body, "", "namespace"));
    CO_TRY_ASSIGN(const auto space,
                  co_await namespace_for(services, *call.caller, identity::Verb::tokens, name.value_or("")));
    co_return identity::Scope(identity::OneNamespace{space.id});
  }
  if (word != "workspace") {
    co_return fail(Code::InvalidArgument, "/scope: must be namespace, workspace or account");
  }
  std::vector<std::string> asked;
  for (const char* field : {"workspaceId", "workspace_id"}) {
    CO_TRY_ASSIGN(const auto one, model::get_string(body, "", field));
    if (one) asked.push_back(*one);
  }
  CO_TRY_ASSIGN(const auto more, get_texts(body, "", "workspaces"));
  if (more) asked.insert(asked.end(), more->begin(), more->end());
  if (asked.empty()) co_return fail(Code::InvalidArgument, "/workspaceId: is missing");
  identity::SomeWorkspaces some;
  for (const auto& id : asked) {
    const auto info = services.manager.get(id);
    if (!info) co_return fail(identity::no_such_workspace(id));
    CO_TRY(call.who().allows(identity::Verb::tokens, info->id, info->spec.namespace_id, id));
    some.ids.push_back(info->id);
  }
  co_return identity::Scope(some);
}

// What the caller may hand on, when nothing is said.
VerbSet usual_verbs(TokenKind kind, const VerbSet& own) {
  const auto usual =
      kind == TokenKind::runtime ? identity::runtime_verbs() : VerbSet::all().without({identity::Verb::admin});
  return usual.without(VerbSet::all().without(own));
}

Task<identity::TokenRequest> request_of(Services& services, Call& call, json::object body) {
  identity::TokenRequest request;
  CO_TRY_ASSIGN(const auto kind, model::get_string(body, "", "kind"));
  request.kind = TokenKind::control;
  if (kind) {
    auto parsed = identity::parse_kind(*kind);
    if (!parsed) co_return fail(std::move(parsed.error()).in("/kind"));
    request.kind = *parsed;
  }
  CO_TRY_ASSIGN(request.scope, co_await scope_of(services, call, body));
  CO_TRY_ASSIGN(const auto verbs, get_texts(body, "", "verbs"));
  if (verbs) {
    std::string text;
    for (const auto& verb : *verbs) text += cat(text.empty() ? "" : ",", verb);
    auto parsed = VerbSet::parse(text);
    if (!parsed) co_return fail(std::move(parsed.error()).in("/verbs"));
    request.verbs = *parsed;
  } else {
    request.verbs = usual_verbs(request.kind, call.who().grant.verbs);
  }
  CO_TRY_ASSIGN(const auto ttl, get_duration(body, "", "ttl"));
  request.ttl = ttl ? std::chrono::duration_cast<std::chrono::seconds>(*ttl) : kDefaultTtl;
  CO_TRY_ASSIGN(const auto sources, get_texts(body, "", "sources"));
  for (const auto& source : sources.value_or(std::vector<std::string>{})) {
    auto range = Cidr::parse(source);
    if (!range) co_return fail(std::move(range.error()).in("/sources"));
    request.sources.push_back(*range);
  }
  CO_TRY_ASSIGN(const auto label, model::get_string(body, "", "label"));
  request.label = label.value_or("");
  co_return request;
}

}  // namespace

Task<http::Response> create_token(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto request, co_await request_of(services, call, std::move(body)));
  CO_TRY_ASSIGN(auto minted, co_await services.identity.tokens().mint(call.who(), std::move(request)));
  co_return co_await told(services, std::move(minted), kCreated);
}

Task<http::Response> list_tokens(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto workspace, query_text(call, "workspace"));
  CO_TRY_ASSIGN(const auto space, query_text(call, "namespace"));
  identity::TokenFilter filter;
  if (workspace) {
    const auto info = services.manager.get(*workspace);
    filter.workspace_id = info ? info->id : *workspace;
  }
  if (space) {
    CO_TRY_ASSIGN(const auto found, co_await namespace_for(services, *call.caller, identity::Verb::tokens, *space));
    filter.namespace_id = found.id;
  }
  CO_TRY_ASSIGN(const auto tokens, services.identity.tokens().list(call.who(), filter));
  json::array all;
  for (const auto& token : tokens) {
    CO_TRY_ASSIGN(auto object, co_await shape(services, token));
    all.emplace_back(std::move(object));
  }
  const auto total = all.size();
  co_return answer({{"tokens", std::move(all)}, {"total", total}});
}

Task<http::Response> get_token(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto token, services.identity.tokens().get(call.who(), call.id()));
  CO_TRY_ASSIGN(auto object, co_await shape(services, token));
  json::object whole = object;
  whole["data"] = std::move(object);
  co_return answer(std::move(whole));
}

Task<http::Response> revoke_token(Services& services, Call& call) {
  CO_TRY_ASSIGN(const bool descendants, query_flag(call, "descendants"));
  const auto how = descendants ? identity::Descendants::revoke : identity::Descendants::keep;
  CO_TRY_ASSIGN(const auto revoked, co_await services.identity.tokens().revoke(call.who(), call.id(), how));
  co_return answer({{"revoked", revoked}});
}

Task<http::Response> rotate_token(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto grace, get_whole(body, "", "grace_seconds", 0, kMaxGraceSeconds));
  CO_TRY_ASSIGN(auto minted, co_await services.identity.tokens().rotate(call.who(), call.id(),
                                                                        std::chrono::seconds(grace.value_or(0))));
  co_return co_await told(services, std::move(minted), 200);
}

}  // namespace cofferdam::api

// Secrets of a namespace: set from a body, and never told.
#include <algorithm>

#include "api/handlers.h"
#include "api/permission.h"
#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;

constexpr std::size_t kMaxBody = 128U << 10;

json::object to_json(const identity::SecretInfo& secret) {
  return {{"name", secret.name},
          {"created_at", format_rfc3339(secret.created_at)},
          {"updated_at", format_rfc3339(secret.updated_at)}};
}

Task<identity::Namespace> space_of(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "namespace"));
  co_return co_await namespace_for(services, *call.caller, Verb::secrets, asked.value_or(""));
}

// What held the value is wiped before it is given back.
struct Wiped {
  explicit Wiped(std::string& bytes) : text(bytes) {}
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  ~Wiped() { std::fill(text.begin(), text.end(), '\0'); }
  std::string& text;
};

}  // namespace

Task<http::Response> list_secrets(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto space, co_await space_of(services, call));
  CO_TRY_ASSIGN(const auto secrets, co_await services.identity.secrets().list(space.id));
  json::array all;
  for (const auto& secret : secrets) all.emplace_back(to_json(secret));
  co_return answer({{"secrets", std::move(all)}, {"namespace", space.slug}});
}

Task<http::Response> get_secret(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto space, co_await space_of(services, call));
  CO_TRY_ASSIGN(const auto secret, co_await services.identity.secrets().get(space.id, call.id()));
  co_return answer({{"secret", to_json(secret)}});
}

Task<http::Response> set_secret(Services& services, Call& call) {
  CO_TRY_ASSIGN(std::string text, co_await call.request.body->read_all(kMaxBody));
  const Wiped wiped(text);
  CO_TRY_ASSIGN(auto body, parse_object(text));
  CO_TRY_ASSIGN(const auto named, model::get_string(body, "", "name"));
  CO_TRY_ASSIGN(auto value, model::get_string(body, "", "value"));
  if (!value) co_return fail(Code::InvalidArgument, "/value: is missing");
  const Wiped wiped_value(*value);
  if (auto* inner = body.if_contains("value"); inner != nullptr && inner->is_string()) {
    std::fill(inner->get_string().begin(), inner->get_string().end(), '\0');
  }
  if (call.params.empty() && !named) co_return fail(Code::InvalidArgument, "/name: is missing");
  const std::string name = call.params.empty() ? *named : call.id();
  CO_TRY_ASSIGN(const auto in_body, model::get_string(body, "", "namespace"));
  CO_TRY_ASSIGN(const auto in_query, query_text(call, "namespace"));
  const auto asked = in_query ? in_query : in_body;
  CO_TRY_ASSIGN(const auto space, co_await namespace_for(services, *call.caller, Verb::secrets, asked.value_or("")));
  CO_TRY_ASSIGN(const auto secret,
                co_await services.identity.secrets().set(space.id, name, SecureBytes::copy_of(*value)));
  services.recorder.note({call.who().origin(), {{}, space.id}, model::SecretSet{name}});
  co_return answer({{"secret", to_json(secret)}, {"namespace", space.slug}});
}

Task<http::Response> remove_secret(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto space, co_await space_of(services, call));
  CO_TRY(co_await services.identity.secrets().remove(space.id, call.id()));
  services.recorder.note({call.who().origin(), {{}, space.id}, model::SecretRemoved{call.id()}});
  co_return answer({{"removed", call.id()}});
}

}  // namespace cofferdam::api

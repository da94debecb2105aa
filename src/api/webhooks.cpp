// Webhooks of the host and of its namespaces.
#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;
using monitor::Webhook;

constexpr int kCreated = 201;
constexpr std::string_view kMasked = "********";

Task<json::object> shape(Services& services, Webhook hook) {
  json::object object{{"id", hook.id},
                      {"url", hook.url},
                      {"events", to_array(hook.events)},
                      {"active", hook.active},
                      {"description", nullptr},
                      {"namespace", nullptr},
                      {"secret", nullptr},
                      {"last_triggered_at", time_or_null(hook.last_triggered_at)},
                      {"last_status_code", nullptr},
                      {"created_at", format_rfc3339(hook.created_at)}};
  if (hook.description) object["description"] = to_utf8(*hook.description);
  if (hook.is_signed) object["secret"] = kMasked;
  if (hook.last_status_code) object["last_status_code"] = *hook.last_status_code;
  if (hook.namespace_id) {
    CO_TRY_ASSIGN(const auto slug, co_await slug_of(services, *hook.namespace_id));
    object["namespace"] = slug;
    object["namespace_id"] = *hook.namespace_id;
  }
  co_return object;
}

Task<http::Response> one(Services& services, Webhook hook, int status = 200) {
  CO_TRY_ASSIGN(auto object, co_await shape(services, std::move(hook)));
  co_return answer({{"webhook", std::move(object)}}, status);
}

// A hook of all namespaces belongs to the account.
Status may_touch(const Call& call, const std::optional<std::string>& namespace_id) {
  if (!namespace_id) return call.who().allows_on_account(Verb::admin);
  return call.who().allows_in_namespace(Verb::admin, *namespace_id);
}

tl::unexpected<Error> no_such_webhook(std::string_view id) {
  return fail(Code::NotFound, cat("there is no webhook '", id.substr(0, 32), "'"));
}

Result<Webhook> find(Services& services, const Call& call) {
  const auto id = parse_int("the webhook", call.id(), 1, INT64_MAX);
  if (!id) return no_such_webhook(call.id());
  const auto hook = services.webhooks.get(*id);
  if (!hook || !may_touch(call, hook->namespace_id)) return no_such_webhook(call.id());
  return *hook;
}

// Named in the body: nullopt when nothing is, or an inner nullopt for null.
Task<std::optional<std::optional<std::string>>> namespace_field(Services& services, Call& call, json::object body) {
  using Named = std::optional<std::optional<std::string>>;
  const auto* value = body.if_contains("namespace");
  if (value == nullptr) co_return Named{};
  CO_TRY_ASSIGN(const auto name, model::get_string(body, "", "namespace"));
  if (!name) co_return Named(std::optional<std::string>{});
  CO_TRY_ASSIGN(const auto space, co_await namespace_for(services, *call.caller, Verb::admin, *name));
  co_return Named(std::optional<std::string>(space.id));
}

}  // namespace

Task<http::Response> list_webhooks(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto asked, query_text(call, "namespace"));
  std::optional<std::string> only;
  if (asked) {
    CO_TRY_ASSIGN(const auto space, co_await namespace_for(services, *call.caller, Verb::admin, *asked));
    only = space.id;
  }
  json::array all;
  for (const auto& hook : services.webhooks.list()) {
    if (!may_touch(call, hook.namespace_id) || (only && hook.namespace_id != only)) continue;
    CO_TRY_ASSIGN(auto object, co_await shape(services, hook));
    all.emplace_back(std::move(object));
  }
  co_return answer({{"webhooks", std::move(all)}});
}

Task<http::Response> list_webhook_events(Services& /*services*/, Call& /*call*/) {
  co_return answer({{"events", to_array(monitor::event_names())}});
}

Task<http::Response> create_webhook(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  monitor::WebhookDraft draft;
  CO_TRY_ASSIGN(draft.url, required_text(body, "url"));
  CO_TRY_ASSIGN(auto events, get_texts(body, "", "events"));
  draft.events = events.value_or(std::vector<std::string>{});
  CO_TRY_ASSIGN(const auto secret, model::get_string(body, "", "secret"));
  if (secret) draft.secret = SecureBytes::copy_of(*secret);
  CO_TRY_ASSIGN(draft.description, model::get_string(body, "", "description"));
  CO_TRY_ASSIGN(const auto space, co_await namespace_field(services, call, body));
  draft.namespace_id = space.value_or(std::optional<std::string>{});
  // A credential of one namespace makes hooks of that one.
  const auto* own = std::get_if<identity::OneNamespace>(&call.who().grant.scope);
  if (!draft.namespace_id && own != nullptr) draft.namespace_id = own->id;
  CO_TRY(may_touch(call, draft.namespace_id));
  CO_TRY_ASSIGN(auto hook, co_await services.webhooks.create(std::move(draft)));
  co_return co_await one(services, std::move(hook), kCreated);
}

Task<http::Response> get_webhook(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto hook, find(services, call));
  co_return co_await one(services, std::move(hook));
}

Task<http::Response> update_webhook(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto before, find(services, call));
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  monitor::WebhookChange change;
  CO_TRY_ASSIGN(change.url, model::get_string(body, "", "url"));
  CO_TRY_ASSIGN(change.events, get_texts(body, "", "events"));
  CO_TRY_ASSIGN(change.active, model::get_flag(body, "", "active"));
  if (body.contains("description")) {
    CO_TRY_ASSIGN(change.description, model::get_string(body, "", "description"));
  }
  // The mask that was told instead of the secret means that it stays.
  CO_TRY_ASSIGN(const auto secret, model::get_string(body, "", "secret"));
  if (body.contains("secret") && secret != kMasked) change.secret = SecureBytes::copy_of(secret.value_or(""));
  CO_TRY_ASSIGN(change.namespace_id, co_await namespace_field(services, call, body));
  if (change.namespace_id) CO_TRY(may_touch(call, *change.namespace_id));
  CO_TRY_ASSIGN(auto hook, co_await services.webhooks.update(before.id, std::move(change)));
  co_return co_await one(services, std::move(hook));
}

Task<http::Response> remove_webhook(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto hook, find(services, call));
  CO_TRY(co_await services.webhooks.remove(hook.id));
  co_return answer({{"deleted", hook.id}});
}

Task<http::Response> list_deliveries(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto hook, find(services, call));
  CO_TRY_ASSIGN(const auto deliveries, co_await services.webhooks.deliveries(hook.id));
  json::array all;
  for (const auto& delivery : deliveries) {
    const char* state = delivery.next_try_at ? "pending" : delivery.delivered ? "delivered" : "failed";
    json::object object{{"id", delivery.id},
                        {"event", delivery.event},
                        {"state", state},
                        {"tries", delivery.tries},
                        {"next_try_at", time_or_null(delivery.next_try_at)},
                        {"status_code", nullptr},
                        {"error", nullptr},
                        {"created_at", format_rfc3339(delivery.created_at)},
                        {"tried_at", time_or_null(delivery.tried_at)}};
    if (delivery.status_code) object["status_code"] = *delivery.status_code;
    if (delivery.error) object["error"] = to_utf8(*delivery.error);
    all.emplace_back(std::move(object));
  }
  co_return answer({{"deliveries", std::move(all)}});
}

}  // namespace cofferdam::api

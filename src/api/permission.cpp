#include "api/permission.h"

#include "base/text.h"

namespace cofferdam::api {
namespace {

tl::unexpected<Error> no_such_namespace(std::string_view asked) {
  return fail(Code::NotFound, cat("there is no namespace '", asked.substr(0, 64), "'"));
}

}  // namespace

Status may(const Caller& caller, identity::Verb verb) {
  if (caller.who.kind == identity::Principal::Kind::anonymous) return caller.who.allows_on_account(verb);
  if (caller.who.grant.verbs.has(verb)) return {};
  return fail(Code::PermissionDenied, cat("'", caller.who.id, "' lacks the verb '", identity::verb_name(verb), "'"),
              cat("it has: ", caller.who.grant.verbs.text()));
}

Task<identity::Namespace> namespace_for(Services& services, const Caller& caller, identity::Verb verb,
                                        std::string asked) {
  // A credential of one namespace means that one when it names none.
  if (const auto* own = std::get_if<identity::OneNamespace>(&caller.who.grant.scope); asked.empty() && own != nullptr) {
    asked = own->id;
  }
  auto found = asked.empty() ? co_await services.identity.namespaces().get_default()
                             : co_await services.identity.namespaces().get(asked);
  if (!found && found.error().code == Code::NotFound) co_return no_such_namespace(asked);
  if (!found) co_return fail(std::move(found.error()));
  const auto allowed = caller.who.allows_in_namespace(verb, found->id);
  if (!allowed && allowed.error().code == Code::NotFound)
    co_return no_such_namespace(asked.empty() ? found->slug : asked);
  CO_TRY(allowed);
  services.space_slugs[found->id] = found->slug;
  co_return std::move(*found);
}

Task<std::string> slug_of(Services& services, std::string namespace_id) {
  const auto known = services.space_slugs.find(namespace_id);
  if (known != services.space_slugs.end()) co_return known->second;
  auto found = namespace_id.empty() ? co_await services.identity.namespaces().get_default()
                                    : co_await services.identity.namespaces().get(namespace_id);
  // A workspace may outlive what its namespace was called.
  if (!found) co_return namespace_id;
  if (!namespace_id.empty()) services.space_slugs[namespace_id] = found->slug;
  co_return found->slug;
}

Task<void> admit(Services& services, const Route& route, Call& call) {
  const auto& who = call.who();
  switch (route.reach) {
    case Reach::open:
      co_return Status{};
    case Reach::signed_in:
      co_return may(*call.caller, route.verb);
    case Reach::account:
      co_return who.allows_on_account(route.verb);
    case Reach::name_space: {
      CO_TRY_ASSIGN(const auto space, co_await namespace_for(services, *call.caller, route.verb, call.id()));
      call.params.front() = space.id;
      call.about = {{}, space.id};
      co_return Status{};
    }
    case Reach::workspace: {
      const std::string asked = call.id();
      auto owner = services.manager.owner(asked);
      if (!owner && owner.error().code != Code::NotFound) co_return fail(owner.error());
      if (!owner) co_return fail(identity::no_such_workspace(asked));
      CO_TRY(who.allows(route.verb, owner->id, owner->namespace_id, asked));
      call.params.front() = owner->id;
      call.about = {std::move(owner->id), std::move(owner->namespace_id)};
      co_return Status{};
    }
  }
  co_return fail(Code::Internal, "a route without a reach");
}

}  // namespace cofferdam::api

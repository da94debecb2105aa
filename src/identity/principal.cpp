#include "identity/principal.h"

#include "base/text.h"

namespace cofferdam::identity {
namespace {

tl::unexpected<Error> nobody() {
  return fail(Code::Unauthenticated, "no credential was presented",
              "send \"Authorization: Bearer TOKEN\", or X-Client-ID and X-Client-Secret");
}

}  // namespace

Status Principal::has_verb(Verb verb) const {
  if (grant.verbs.has(verb)) return {};
  return fail(Code::PermissionDenied, cat("'", id, "' lacks the verb '", verb_name(verb), "'"),
              cat("it has: ", grant.verbs.text()));
}

Status Principal::allows(Verb verb, std::string_view workspace_id, std::string_view namespace_id,
                         std::string_view asked_as) const {
  if (kind == Kind::anonymous) return nobody();
  if (!sees(workspace_id, namespace_id)) return fail(no_such_workspace(asked_as.empty() ? workspace_id : asked_as));
  return has_verb(verb);
}

Status Principal::allows_in_namespace(Verb verb, std::string_view namespace_id) const {
  if (kind == Kind::anonymous) return nobody();
  // A list of workspaces reaches nothing of the namespace they lie in.
  if (!covers(grant.scope, "", namespace_id)) {
    return fail(Code::NotFound, cat("there is no namespace '", namespace_id, "'"));
  }
  return has_verb(verb);
}

Status Principal::allows_on_account(Verb verb) const {
  if (kind == Kind::anonymous) return nobody();
  if (!std::holds_alternative<WholeAccount>(grant.scope)) {
    return fail(Code::PermissionDenied, cat("'", id, "' is not good for the whole account"),
                cat("its scope: ", scope_text(grant.scope)));
  }
  return has_verb(verb);
}

Error no_such_workspace(std::string_view id) {
  return {Code::NotFound, cat("there is no workspace '", id, "'"),
          "list them with `coffer ls`; a temporary one is gone when its time is over or its machine has ended"};
}

Principal local_administrator(uid_t uid) {
  Principal principal;
  principal.kind = Principal::Kind::local_administrator;
  principal.id = cat("local:", uid);
  principal.grant = {WholeAccount{}, VerbSet::all(), {}, std::nullopt};
  return principal;
}

}  // namespace cofferdam::identity

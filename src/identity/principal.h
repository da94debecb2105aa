// Who asks, once that is known, and whether they may.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/grant.h"
#include "model/origin.h"

namespace cofferdam::identity {

struct Principal {
  enum class Kind { anonymous, local_administrator, administrator, api_key, token };
  Kind kind = Kind::anonymous;
  std::string id;                // "local:UID", a client id, "tok_…"; empty when anonymous
  std::uint64_t generation = 0;  // which of a token's secrets, in turn, was presented
  Grant grant;
  // Of the request, for the ledger.
  std::string address = {}, request_id = {};
  [[nodiscard]] model::Origin origin() const { return {id, address, request_id}; }

  // Whether the workspace exists as far as this principal may know.
  [[nodiscard]] bool sees(std::string_view workspace_id, std::string_view namespace_id) const {
    return kind != Kind::anonymous && covers(grant.scope, workspace_id, namespace_id);
  }

  // Unauthenticated: nobody. NotFound: a workspace outside the scope, in the words of one that does not exist.
  // PermissionDenied: a verb that is not granted on a workspace that may be known. `asked_as` is the client's own word
  // for the workspace when that was not its id: a NotFound repeats it and not the id, which would be an answer.
  [[nodiscard]] Status allows(Verb verb, std::string_view workspace_id, std::string_view namespace_id,
                              std::string_view asked_as = {}) const;
  // The same for what belongs to a namespace and no workspace: its secrets, a workspace to be made in it.
  [[nodiscard]] Status allows_in_namespace(Verb verb, std::string_view namespace_id) const;
  // The same for what belongs to the host: images, API keys, namespaces as such. Never NotFound.
  [[nodiscard]] Status allows_on_account(Verb verb) const;

 private:
  [[nodiscard]] Status has_verb(Verb verb) const;
};

// What every question about a workspace that is not there is answered with, whoever asks.
Error no_such_workspace(std::string_view id);

// The peer of the Unix socket, which only root and its group can open: everything, unbounded.
Principal local_administrator(uid_t uid);

}  // namespace cofferdam::identity

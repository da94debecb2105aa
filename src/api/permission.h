// Whether the caller may do what a route does: by its verb, and by what the route reaches.
#pragma once
#include "api/routes.h"

namespace cofferdam::api {

// Afterwards the first parameter of a route that reaches a workspace or a namespace is its id, whatever it was asked
// as. Unauthenticated, PermissionDenied, or NotFound in the words of what does not exist.
Task<void> admit(Services& services, const Route& route, Call& call);

// For handlers that find out themselves what they reach.
Status may(const Caller& caller, identity::Verb verb);
// The namespace that a client names by id or slug (empty: the default one), when it lies within the caller's scope.
Task<identity::Namespace> namespace_for(Services& services, const Caller& caller, identity::Verb verb,
                                        std::string asked);
// Its slug: what clients know namespaces by.
Task<std::string> slug_of(Services& services, std::string namespace_id);

}  // namespace cofferdam::api

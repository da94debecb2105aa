// From a request's credentials to who asks: the one place that reads them.
#pragma once
#include <optional>
#include <string>

#include "api/caller.h"
#include "http/message.h"
#include "identity/identity.h"

namespace cofferdam::api {

// True when the request asks to become a WebSocket.
bool wants_websocket(const http::Request& request);

// Whether the request brings any, good or not. Before take_bearer().
bool has_credentials(const http::Request& request);

// What the request carries as its bearer token: "Authorization: Bearer …", or `token` of the query where a WebSocket is
// asked for, which a browser cannot send headers with. The parameter is taken out of `request` in any case, so that
// nothing behind this can log it or pass it on. Unauthenticated: several Authorization headers, or of another scheme.
Result<std::string> take_bearer(http::Request& request);

// The peer of the Unix socket needs no credentials; when it brings some, it is who they say. Errors are those of
// Identity::authenticate().
Result<Caller> authenticate(identity::Identity& identity, http::Request& request);

// The 401, 403 or 429 that such an error is, with the headers that belong to it.
http::Response refuse_caller(const identity::Identity& identity, const http::Request& request, const Error& error);

// Of every answer that is not a page: nothing keeps it, guesses its type, or shows it in a frame.
void add_security_headers(http::Headers& headers);

}  // namespace cofferdam::api

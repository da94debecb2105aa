// The JSON of an error, the same wherever it appears.
#pragma once
#include <boost/json/object.hpp>

#include "base/result.h"
#include "http/message.h"

namespace cofferdam::api {

// What clients know an error by: most have the name and status of their code. Some refusals have their own, from
// wherever on the way they come; an Error has no room for that, so they are told by their hints.
struct ErrorName {
  int status = 0;
  std::string_view code;
};
ErrorName name_of(const Error& error);

// {code, message, hint?}: the part that all errors share.
boost::json::object error_to_json(const Error& error);
// {success: false, error, code, message, hint?, requestId} with `status`, or the error's own. `code`: another name than
// the error's, where clients know the case by it; empty: none.
http::Response error_response(const http::Request& request, int status, const Error& error, std::string_view code);
http::Response error_response(const http::Request& request, int status, const Error& error);

}  // namespace cofferdam::api

// The JSON of an error, the same wherever it appears.
#pragma once
#include <boost/json/object.hpp>

#include "base/result.h"
#include "http/message.h"

namespace cofferdam::api {

// {code, message, hint?}: the part that all errors share.
boost::json::object error_to_json(const Error& error);
// {success: false, error, code, message, hint?, requestId} with `status`. `code`: another name than that of the error's
// code, where clients know the case by its own; empty: none.
http::Response error_response(const http::Request& request, int status, const Error& error, std::string_view code);
http::Response error_response(const http::Request& request, int status, const Error& error);

}  // namespace cofferdam::api

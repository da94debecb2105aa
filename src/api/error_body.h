// The JSON of an error, the same wherever it appears.
#pragma once
#include <boost/json/object.hpp>

#include "base/result.h"
#include "http/message.h"

namespace cofferdam::api {

// {code, message, hint?}: the part that all errors share.
boost::json::object error_to_json(const Error& error);
// {success: false, error, code, message, hint?, requestId} with `status`.
http::Response error_response(const http::Request& request, int status, const Error& error);

}  // namespace cofferdam::api

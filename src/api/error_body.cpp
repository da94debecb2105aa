#include "api/error_body.h"

#include <boost/json/serialize.hpp>

#include "api/authentication.h"
#include "base/utf8.h"

namespace cofferdam::api {

boost::json::object error_to_json(const Error& error) {
  boost::json::object object{{"code", code_info(error.code).wire_name}, {"message", to_utf8(error.message)}};
  if (!error.hint.empty()) object["hint"] = to_utf8(error.hint);
  return object;
}

http::Response error_response(const http::Request& request, int status, const Error& error, std::string_view code) {
  boost::json::object object{{"success", false}, {"error", ""}};
  for (auto& [key, value] : error_to_json(error)) object[key] = std::move(value);
  if (!code.empty()) object["code"] = code;
  object["error"] = object["code"];
  object["requestId"] = request.id;
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  add_security_headers(response.headers);
  response.body = boost::json::serialize(object);
  return response;
}

http::Response error_response(const http::Request& request, int status, const Error& error) {
  return error_response(request, status, error, {});
}

}  // namespace cofferdam::api

#include "api/error_body.h"

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>

#include "api/authentication.h"
#include "base/utf8.h"
#include "identity/namespace.h"
#include "monitor/quotas.h"

namespace cofferdam::api {

namespace {

struct NamedRefusal {
  std::string_view hint;
  ErrorName name;
};
constexpr std::array<NamedRefusal, 3> kNamed{{
    {identity::kSuspendedHint, {403, "namespace_suspended"}},
    {monitor::kUsedUpHint, {402, "quota_exceeded"}},
    {identity::kOverLimitsHint, {409, "NAMESPACE_LIMIT_REACHED"}},
}};

const NamedRefusal* find_named(const Error& error) {
  const auto* found =
      std::find_if(kNamed.begin(), kNamed.end(), [&](const NamedRefusal& one) { return one.hint == error.hint; });
  return found == kNamed.end() ? nullptr : found;
}

}  // namespace

ErrorName name_of(const Error& error) {
  if (const auto* named = find_named(error)) return named->name;
  const auto& info = code_info(error.code);
  return {info.http_status, info.wire_name};
}

boost::json::object error_to_json(const Error& error) {
  boost::json::object object{{"code", name_of(error).code}, {"message", to_utf8(error.message)}};
  if (!error.hint.empty()) object["hint"] = to_utf8(error.hint);
  return object;
}

http::Response error_response(const http::Request& request, int status, const Error& error, std::string_view code) {
  boost::json::object object{{"success", false}, {"error", ""}};
  for (auto& [key, value] : error_to_json(error)) object[key] = std::move(value);
  const auto* named = find_named(error);
  if (!code.empty()) object["code"] = code;
  object["error"] = object["code"];
  object["requestId"] = request.id;
  http::Response response;
  response.status = code.empty() && named != nullptr ? named->name.status : status;
  response.headers.add("Content-Type", "application/json");
  add_security_headers(response.headers);
  response.body = boost::json::serialize(object);
  return response;
}

http::Response error_response(const http::Request& request, int status, const Error& error) {
  return error_response(request, status, error, {});
}

}  // namespace cofferdam::api

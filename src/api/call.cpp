#include "api/call.h"

#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {

namespace {

// nullptr when it is absent.
Result<const std::string*> find_once(const Call& call, std::string_view name) {
  if (call.request.query_values(name).size() > 1) {
    return fail(Code::InvalidArgument, cat("the query parameter '", name, "' is given more than once"));
  }
  return call.request.find_query(name);
}

}  // namespace

Result<boost::json::object> parse_object(std::string_view text) {
  if (trim(text).empty()) return boost::json::object{};
  TRY_ASSIGN(boost::json::value value, model::parse_json(text));
  if (!value.is_object()) return fail(Code::InvalidArgument, "/: must be an object");
  return std::move(value.get_object());
}

Task<boost::json::object> read_object(Call& call) {
  CO_TRY_ASSIGN(const std::string text, co_await call.request.body->read_all(kMaxJsonBody));
  co_return parse_object(text);
}

Result<std::string> required_query(const Call& call, std::string_view name) {
  TRY_ASSIGN(const std::string* value, find_once(call, name));
  if (value == nullptr || value->empty()) {
    return fail(Code::InvalidArgument, cat("the query parameter '", name, "' is missing"));
  }
  return *value;
}

Result<bool> query_flag(const Call& call, std::string_view name) {
  TRY_ASSIGN(const std::string* value, find_once(call, name));
  if (value == nullptr || *value == "0" || *value == "false") return false;
  if (*value == "1" || *value == "true") return true;
  return fail(Code::InvalidArgument, cat("the query parameter '", name, "' must be 0 or 1"));
}

Result<std::string> required_text(const boost::json::object& object, std::string_view field) {
  TRY_ASSIGN(auto value, model::get_string(object, "", field));
  if (!value || value->empty()) return fail(Code::InvalidArgument, cat("/", field, ": is missing"));
  return std::move(*value);
}

http::Response answer(boost::json::object object, int status) {
  object["success"] = true;
  http::Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = boost::json::serialize(object);
  return response;
}

}  // namespace cofferdam::api

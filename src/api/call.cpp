#include "api/call.h"

#include <boost/json/serialize.hpp>
#include <cmath>

#include "api/error_body.h"
#include "api/handlers.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {

namespace {

namespace json = boost::json;

constexpr int kNotImplemented = 501;
constexpr double kMsPerSecond = 1000.0;

const json::value* present(const json::object& object, std::string_view field) {
  const auto* value = object.if_contains(json::string_view(field.data(), field.size()));
  return value == nullptr || value->is_null() ? nullptr : value;
}

tl::unexpected<Error> wrong(std::string_view path, std::string_view field, std::string_view wanted) {
  return fail(Code::InvalidArgument, cat(path, "/", field, ": must be ", wanted));
}

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

Result<std::optional<std::string>> query_text(const Call& call, std::string_view name) {
  TRY_ASSIGN(const std::string* value, find_once(call, name));
  if (value == nullptr || value->empty()) return std::nullopt;
  return *value;
}

Result<std::uint64_t> query_whole(const Call& call, std::string_view name, std::uint64_t otherwise, std::uint64_t min,
                                  std::uint64_t max) {
  TRY_ASSIGN(const auto text, query_text(call, name));
  if (!text) return otherwise;
  TRY_ASSIGN(const auto number, parse_int(cat("the query parameter '", name, "'"), *text,
                                          static_cast<std::int64_t>(min), static_cast<std::int64_t>(max)));
  return static_cast<std::uint64_t>(number);
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

Result<std::optional<std::uint64_t>> get_whole(const json::object& object, std::string_view path,
                                               std::string_view field, std::uint64_t min, std::uint64_t max) {
  TRY_ASSIGN(const auto number, model::get_number(object, path, field));
  if (!number) return std::nullopt;
  if (!(*number >= static_cast<double>(min)) || !(*number <= static_cast<double>(max)) ||
      *number != std::floor(*number)) {
    return wrong(path, field, cat("a whole number from ", min, " to ", max));
  }
  return static_cast<std::uint64_t>(*number);
}

Result<std::optional<std::vector<std::string>>> get_texts(const json::object& object, std::string_view path,
                                                          std::string_view field) {
  const auto* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  const auto* list = value->if_array();
  if (list == nullptr) return wrong(path, field, "a list of strings");
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* text = (*list)[i].if_string();
    if (text == nullptr) return wrong(path, cat(field, "/", i), "a string");
    texts.emplace_back(*text);
  }
  return texts;
}

Result<std::optional<json::object>> get_object(const json::object& object, std::string_view path,
                                               std::string_view field) {
  const auto* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) return wrong(path, field, "an object");
  return value->get_object();
}

Result<std::optional<std::map<std::string, std::string>>> get_text_map(const json::object& object,
                                                                       std::string_view path, std::string_view field) {
  TRY_ASSIGN(const auto items, get_object(object, path, field));
  if (!items) return std::nullopt;
  std::map<std::string, std::string> map;
  for (const auto& [key, value] : *items) {
    const auto* text = value.if_string();
    if (text == nullptr) return wrong(path, cat(field, "/", std::string_view(key)), "a string");
    map.emplace(std::string(key), std::string(*text));
  }
  return map;
}

Result<std::optional<std::chrono::milliseconds>> get_duration(const json::object& object, std::string_view path,
                                                              std::string_view field) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24 * 365);
  const auto* value = present(object, field);
  if (value == nullptr) return std::nullopt;
  std::chrono::milliseconds duration{};
  if (const auto* text = value->if_string()) {
    auto parsed = parse_duration(*text);
    if (!parsed) return fail(std::move(parsed.error()).in(cat(path, "/", field)));
    duration = *parsed;
  } else {
    if (!value->is_number()) return wrong(path, field, "a number of seconds or a text such as \"30m\"");
    const double ms = value->to_number<double>() * kMsPerSecond;
    if (!(ms >= 0) || ms > static_cast<double>(kLongest.count())) {
      return wrong(path, field, "at least a second and at most a year");
    }
    duration = std::chrono::milliseconds(static_cast<std::int64_t>(ms));
  }
  if (duration < std::chrono::seconds(1) || duration > kLongest) {
    return wrong(path, field, "at least a second and at most a year");
  }
  return duration;
}

json::array to_array(const std::vector<std::string>& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(item);
  return array;
}

http::Response answer(json::object object, int status) {
  object["success"] = true;
  return json_answer(json::serialize(object), status);
}

http::Response json_answer(std::string body, int status) {
  constexpr std::size_t kFields = 8;  // with those that are the same in all answers
  http::Response response;
  response.status = status;
  response.headers.reserve(kFields);
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

http::Response refusal(const Call& call, int status, std::string_view code, std::string message, std::string hint) {
  return error_response(call.request, status, {Code::Unknown, std::move(message), std::move(hint)}, code);
}

http::Response not_supported(const Call& call, std::string what, std::string hint) {
  return refusal(call, kNotImplemented, "not_supported", std::move(what), std::move(hint));
}

Task<http::Response> refuse(Services& /*services*/, Call& call) {
  co_return not_supported(call, std::string(call.summary));
}

}  // namespace cofferdam::api

#include "cli/api.h"

#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "http/url.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxAnswer = 64U << 20;
constexpr std::size_t kMaxErrorBody = 64U << 10;
constexpr int kFirstError = 300;

// What connecting says when no daemon is there, turned into what to do.
Error explained(Error error, const Settings& settings) {
  if (!error.hint.empty()) return error;
  if (error.code == Code::Unavailable && !settings.url.empty()) {
    error.hint = cat("COFFER_URL is '", settings.url, "'");
  } else if (error.code == Code::Unavailable) {
    error.hint = cat("is the daemon running? start it with: ", settings.how_to_start);
  } else if (error.code == Code::PermissionDenied) {
    error.hint = "run this as root, or as a member of the group cofferdam";
  }
  return error;
}

const json::value* find(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

}  // namespace

Api::Api(Session& session) : settings_(session.settings()), client_(session.executor(), settings_.endpoint()) {}

void Api::add_token(http::Headers& headers) const {
  if (!settings_.token.empty()) headers.add("Authorization", cat("Bearer ", settings_.token));
}

Task<json::object> Api::get(std::string target) { co_return co_await call("GET", std::move(target)); }

Task<json::object> Api::call(std::string method, std::string target, json::object body) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) {
    request.headers.add("Content-Type", "application/json");
    request.body = json::serialize(body);
  }
  CO_TRY_ASSIGN(auto response, co_await open(std::move(request)));
  CO_TRY_ASSIGN(const std::string text, co_await response->read_all(kMaxAnswer));
  CO_TRY_ASSIGN(json::value value, model::parse_json(text));
  if (!value.is_object()) co_return fail(Code::Internal, "the daemon's answer is not a JSON object");
  co_return std::move(value.get_object());
}

Task<std::unique_ptr<http::ClientResponse>> Api::open(http::ClientRequest request) {
  add_token(request.headers);
  auto response = co_await client_.request(std::move(request));
  if (!response) co_return fail(explained(std::move(response.error()), settings_));
  const int status = (*response)->status;
  if (status < kFirstError) co_return std::move(*response);
  auto body = co_await (*response)->read_all(kMaxErrorBody);
  co_return fail(error_of_answer(status, body.value_or("")));
}

Task<std::unique_ptr<http::WebSocket>> Api::socket(std::string target, std::string protocol) {
  http::Headers headers;
  if (!protocol.empty()) headers.add("Sec-WebSocket-Protocol", std::move(protocol));
  add_token(headers);
  auto opened = co_await client_.websocket(std::move(target), std::move(headers));
  if (opened) co_return std::move(*opened);
  // A refused upgrade carries the answer's body as its message.
  const auto parsed = model::parse_json(opened.error().message);
  if (parsed && parsed->is_object()) {
    const int status = code_info(opened.error().code).http_status;
    co_return fail(error_of_answer(status, opened.error().message));
  }
  co_return fail(explained(std::move(opened.error()), settings_));
}

std::string workspace_target(std::string_view id, std::string_view rest) {
  return cat("/workspace/", http::percent_encode(id), rest);
}

Error error_of_answer(int http_status, std::string_view body) {
  Error error;
  error.code = Code::Unknown;
  if (const auto value = model::parse_json(body); value && value->is_object()) {
    const auto& object = value->get_object();
    error.code = code_from_wire_name(text_field(object, "code"));
    error.message = text_field(object, "message");
    error.hint = text_field(object, "hint");
  }
  if (error.message.empty()) error.message = cat("the daemon answered with HTTP status ", http_status);
  return error;
}

std::string text_field(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

double number_field(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  return value != nullptr && value->is_number() ? value->to_number<double>() : 0;
}

std::int64_t whole_field(const json::object& object, std::string_view name) {
  constexpr double kMost = 9e18;
  const double number = number_field(object, name);
  return number > -kMost && number < kMost ? static_cast<std::int64_t>(number) : 0;
}

bool flag_field(const json::object& object, std::string_view name) {
  const auto* value = find(object, name);
  return value != nullptr && value->is_bool() && value->get_bool();
}

const json::object& object_field(const json::object& object, std::string_view name) {
  static const json::object kNone;
  const auto* value = find(object, name);
  return value != nullptr && value->is_object() ? value->get_object() : kNone;
}

const json::array& array_field(const json::object& object, std::string_view name) {
  static const json::array kNone;
  const auto* value = find(object, name);
  return value != nullptr && value->is_array() ? value->get_array() : kNone;
}

}  // namespace cofferdam::cli

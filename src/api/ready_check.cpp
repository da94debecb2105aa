#include "api/ready_check.h"

#include "api/handlers.h"
#include "api/workload_json.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

json::object shown(const Services& services, const std::string& workspace) {
  const auto* check = services.drills.check_of(workspace);
  return {{"ready_check", check == nullptr ? json::value() : json::value(model::ready_check_to_json(*check))}};
}

}  // namespace

Result<model::ReadyCheck> ready_check_from(const json::object& given, std::string_view path) {
  TRY(check_target(given, path));
  TRY_ASSIGN(auto command, get_texts(given, path, "command"));
  TRY_ASSIGN(const auto seconds, get_whole(given, path, "timeout_seconds", 1, model::kMaxReadySeconds));
  model::ReadyCheck check;
  if (command) check.command = std::move(*command);
  if (seconds) check.limit = std::chrono::seconds(*seconds);
  if (auto good = model::validate(check); !good) {
    // "/config/ready_check" and "/command: …" are one path.
    return fail(good.error().code, cat(path, good.error().message), good.error().hint);
  }
  return check;
}

Task<http::Response> get_ready_check(Services& services, Call& call) { co_return answer(shown(services, call.id())); }

Task<http::Response> set_ready_check(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(auto check, ready_check_from(body, ""));
  CO_TRY(co_await services.drills.keep_check(call.id(), std::move(check)));
  co_return answer(shown(services, call.id()));
}

Task<http::Response> remove_ready_check(Services& services, Call& call) {
  CO_TRY(co_await services.drills.drop_check(call.id()));
  co_return answer(shown(services, call.id()));
}

}  // namespace cofferdam::api

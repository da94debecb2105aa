#include "api/change.h"

#include "api/error_body.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

std::string path_of(const http::Request& request) { return request.target.substr(0, request.target.find('?')); }

}  // namespace

bool is_change(const http::Request& request) {
  return request.method != "GET" && request.method != "HEAD" && request.method != "OPTIONS";
}

Status may_change(const Services& services, Urgent urgent) {
  return urgent == Urgent::yes ? Status{} : services.recorder.ready();
}

Task<http::Response> told_when_durable(Services& services, const Call& call, std::string_view route, Urgent urgent,
                                       Result<http::Response> answered) {
  model::ApiChanged change;
  change.method = call.request.method;
  change.route = route;
  change.path = path_of(call.request);
  change.detail = call.detail;
  if (const auto* path = call.request.find_query("path"); path != nullptr && change.detail.empty())
    change.detail = *path;
  change.status = answered ? answered->status : name_of(answered.error()).status;
  if (!answered) change.code = name_of(answered.error()).code;
  services.recorder.note({call.who().origin(), call.about, std::move(change)});
  auto settled = co_await services.recorder.settled();
  if (settled || urgent == Urgent::yes || !answered) co_return answered;
  co_return fail(std::move(settled.error()).in("it was done, and its entry in the ledger is not durable"));
}

void write_refusal(Services& services, const Caller& caller, const http::Request& request, const Error& error) {
  if (error.code != Code::PermissionDenied && error.code != Code::Unauthenticated) return;
  model::ApiRefused refused;
  refused.method = request.method;
  refused.path = path_of(request);
  refused.status = code_info(error.code).http_status;
  refused.code = code_info(error.code).wire_name;
  refused.reason = error.message;
  services.recorder.note({caller.who.origin(), {}, std::move(refused)});
}

}  // namespace cofferdam::api

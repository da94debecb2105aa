// What a request changes, in the ledger: refused where the ledger cannot take it, answered when it holds it.
#pragma once
#include "api/call.h"
#include "api/services.h"

namespace cofferdam::api {

// GET, HEAD and OPTIONS change nothing.
bool is_change(const http::Request& request);

// May be done while the ledger cannot write: what stops things.
enum class Urgent { no, yes };

// Before a change is begun; the error is the answer.
Status may_change(const Services& services, Urgent urgent);
// After it: the entry of `call`, and the answer once that is durable.
Task<http::Response> told_when_durable(Services& services, const Call& call, std::string_view route, Urgent urgent,
                                       Result<http::Response> answered);
// A request that its credentials do not allow.
void write_refusal(Services& services, const Caller& caller, const http::Request& request, const Error& error);

}  // namespace cofferdam::api

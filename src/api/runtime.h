// The in-workspace half of the API: what a client holding a workspace's runtime token may ask of it.
#pragma once
#include <string>
#include <vector>

#include "api/caller.h"
#include "api/services.h"

namespace cofferdam::api {

// Who asks, once that is known.
struct RuntimeCaller {
  const Caller* caller = nullptr;  // outlives the call
  model::Subject about;            // the workspace
};

// Answers a request whose path is relative to the workspace's runtime: `request.segments` is {"files", "read"} for
// /files/read. Whoever calls it has made sure that the caller may. Errors are left to the server's ErrorFormat.
Task<http::Response> serve_runtime(Services& services, const RuntimeCaller& caller, http::Request& request);

// True for /workspace/{id}/runtime/…, the way of those who hold a control credential.
bool is_runtime_path(const std::vector<std::string>& segments);

// True when a segment holds a slash (%2F) where none may be: everywhere but behind /proxy, where paths are another
// server's.
bool has_stray_slash(const std::vector<std::string>& segments);

}  // namespace cofferdam::api

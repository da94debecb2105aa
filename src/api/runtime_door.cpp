// The two ways into a workspace's runtime, by a token of its own and from the control plane: whether the caller may ask
// that of the workspace, and there.
#include "api/change.h"
#include "api/handlers.h"
#include "api/runtime.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

using identity::Verb;

constexpr std::ptrdiff_t kRuntimeRoot = 3;  // segments of /workspace/{id}/runtime

// Of a path relative to the runtime: "/files/read", or "/runtimes/NAME/files/read" for one target of it.
Verb verb_of(const std::vector<std::string>& segments) {
  constexpr std::size_t kTargetPrefix = 2;
  std::size_t at = 0;
  if (segments.size() > kTargetPrefix && segments[0] == "runtimes") at = kTargetPrefix;
  const std::string_view first = segments.size() > at ? std::string_view(segments[at]) : "";
  if (first == "files" || first == "watchers") return Verb::files;
  if (first == "exec" || first == "terminals" || first == "ws") return Verb::exec;
  if (first == "proxy") return Verb::network;
  return Verb::read;
}

// Whether the caller may ask that of this workspace; `asked` is what the caller calls it.
Task<http::Response> enter(Services& services, const Caller& caller, std::string asked, http::Request& request) {
  const auto info = services.manager.get(asked);
  if (!info) co_return fail(identity::no_such_workspace(asked));
  const auto allowed = caller.who.allows(verb_of(request.segments), info->id, info->spec.namespace_id, asked);
  if (!allowed) {
    write_refusal(services, caller, request, allowed.error());
    co_return fail(allowed.error());
  }
  const RuntimeCaller inside{&caller, {info->id, info->spec.namespace_id}};
  co_return co_await serve_runtime(services, inside, request);
}

}  // namespace

Task<http::Response> open_runtime(Services& services, const Caller& caller, http::Request& request) {
  const auto* some = std::get_if<identity::SomeWorkspaces>(&caller.who.grant.scope);
  if (some == nullptr || some->ids.size() != 1) {
    co_return fail(Code::PermissionDenied, "the runtime token is not of one workspace",
                   "get one: POST /workspace/ID/runtime-api-access/enable");
  }
  co_return co_await enter(services, caller, some->ids.front(), request);
}

bool is_runtime_path(const std::vector<std::string>& segments) {
  return segments.size() >= static_cast<std::size_t>(kRuntimeRoot) && segments[0] == "workspace" &&
         segments[2] == "runtime";
}

Task<http::Response> open_runtime_below_workspace(Services& services, const Caller& caller, http::Request& request) {
  std::string asked = request.segments.at(1);
  request.segments.erase(request.segments.begin(), request.segments.begin() + kRuntimeRoot);
  co_return co_await enter(services, caller, std::move(asked), request);
}

}  // namespace cofferdam::api

// Where requests with a runtime token go: whether the token reaches what is asked of its workspace, and there.
#include "api/handlers.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

using identity::Verb;

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

}  // namespace

Task<http::Response> open_runtime(Services& services, const Caller& caller, http::Request& request) {
  const auto* some = std::get_if<identity::SomeWorkspaces>(&caller.who.grant.scope);
  if (some == nullptr || some->ids.size() != 1) {
    co_return fail(Code::PermissionDenied, "the runtime token is not of one workspace",
                   "get one: POST /workspace/ID/runtime-api-access/enable");
  }
  const auto& id = some->ids.front();
  const auto info = services.manager.get(id);
  if (!info) co_return fail(identity::no_such_workspace(id));
  CO_TRY(caller.who.allows(verb_of(request.segments), info->id, info->spec.namespace_id));
  Call call{request, {}};
  co_return not_supported(call, "the runtime of workspaces is not served yet",
                          "use the control plane: exec and files below /workspace/ID");
}

}  // namespace cofferdam::api

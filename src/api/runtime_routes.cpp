#include <algorithm>
#include <span>

#include "api/change.h"
#include "api/error_body.h"
#include "api/runtime.h"
#include "api/runtime_call.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

struct RuntimeRoute {
  std::string_view method;   // "*": any
  std::string_view pattern;  // "/exec/{id}"; a last "/*" matches whatever follows, also nothing
  RuntimeHandler handler;
};

constexpr RuntimeRoute kRoutes[] = {
    {"GET", "/health", runtime_health},
    {"GET", "/runtime", runtime_info},
    {"GET", "/runtimes", runtime_targets},

    {"GET", "/files", runtime_list_files},
    {"GET", "/files/stream", runtime_stream_files},
    {"GET", "/files/read", runtime_read_file},
    {"POST", "/files/write", runtime_write_file},
    {"PUT", "/files/write", runtime_write_file},
    {"POST", "/files/mkdir", runtime_make_directory},
    {"GET", "/files/stat", runtime_stat_file},
    {"POST", "/files/delete", runtime_delete_file},
    {"DELETE", "/files/delete", runtime_delete_file},
    {"GET", "/files/search", runtime_search_content},
    {"GET", "/files/search/files", runtime_search_files},
    {"GET", "/files/search/init", runtime_search_status},
    {"POST", "/files/search/init", runtime_search_init},
    {"POST", "/files/transfer/download", runtime_download},
    {"POST", "/files/transfer/upload", runtime_upload},

    {"POST", "/exec", runtime_exec},
    {"GET", "/exec", runtime_exec_list},
    {"DELETE", "/exec", runtime_exec_delete_all},
    // Before /exec/{id}: "stream" is no task.
    {"POST", "/exec/stream", runtime_exec_stream},
    {"GET", "/exec/stream", runtime_exec_subscribe},
    {"GET", "/exec/{id}", runtime_exec_get},
    {"DELETE", "/exec/{id}", runtime_exec_kill},
    {"POST", "/exec/{id}/input", runtime_exec_input},

    {"POST", "/terminals", runtime_open_terminal},
    {"GET", "/terminals", runtime_list_terminals},
    {"DELETE", "/terminals/{id}", runtime_close_terminal},
    {"GET", "/terminals/{id}/scrollback", runtime_scrollback},
    {"DELETE", "/terminals/{id}/scrollback", runtime_clear_scrollback},
    {"PATCH", "/terminals/{id}/scrollback", runtime_set_scrollback},

    {"POST", "/watchers", runtime_add_watcher},
    {"GET", "/watchers", runtime_list_watchers},
    {"GET", "/watchers/{id}", runtime_get_watcher},
    {"DELETE", "/watchers/{id}", runtime_remove_watcher},

    {"GET", "/ws", runtime_socket},

    {"*", "/proxy/*", runtime_proxy},

    {"GET", "/desktop/status", runtime_desktop_status},
    {"*", "/desktop/*", runtime_desktop_unsupported},
};

struct RuntimeMatch {
  const RuntimeRoute* route = nullptr;
  std::vector<std::string> params;
  std::string allowed;
};

bool fits(std::string_view pattern, std::span<const std::string> segments, std::vector<std::string>& params) {
  params.clear();
  for (const auto& segment : segments) {
    if (pattern == "/*") return true;
    if (pattern.empty()) return false;
    pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    if (part.starts_with('{')) {
      params.push_back(segment);
    } else if (part != segment) {
      return false;
    }
  }
  return pattern.empty() || pattern == "/*";
}

RuntimeMatch find_runtime_route(std::string_view method, std::span<const std::string> segments) {
  if (method == "HEAD") method = "GET";
  RuntimeMatch match;
  for (const auto& route : kRoutes) {
    if (!fits(route.pattern, segments, match.params)) continue;
    if (route.method == method || route.method == "*") {
      match.route = &route;
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method;
  }
  return match;
}

constexpr std::string_view kLocal = "local";

// /runtimes/<target>/… is the same as /…, for the one target there is.
Status take_target_off(std::vector<std::string>& segments) {
  if (segments.size() < 2 || segments[0] != "runtimes") return {};
  if (segments[1] != kLocal && segments[1] != "default") {
    return fail(Code::NotFound, cat("there is no runtime '", segments[1], "' in this workspace"),
                "list them with GET /runtimes");
  }
  segments.erase(segments.begin(), segments.begin() + 2);
  return {};
}

}  // namespace

Task<http::Response> serve_runtime(Services& services, const RuntimeCaller& caller, http::Request& request) {
  CO_TRY(take_target_off(request.segments));
  RuntimeMatch match = find_runtime_route(request.method, request.segments);
  if (match.route == nullptr && match.allowed.empty()) {
    co_return fail(Code::NotFound, cat("there is nothing at '", request.target, "'"));
  }
  if (match.route == nullptr) {
    constexpr int kMethodNotAllowed = 405;
    const Error error{Code::Unimplemented, cat("'", request.target, "' does not know ", request.method),
                      cat("it knows ", match.allowed)};
    http::Response refused = error_response(request, kMethodNotAllowed, error);
    refused.headers.add("Allow", match.allowed);
    co_return refused;
  }
  // Commands have entries of their own, of which the wait for the disk goes by while they run.
  const auto handler = match.route->handler;
  const bool is_exec = handler == runtime_exec || handler == runtime_exec_stream || handler == runtime_open_terminal;
  const bool change = is_change(request) && !is_exec;
  if (change) CO_TRY(may_change(services, Urgent::no));
  // A call is use, and wakes what sleeps.
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(caller.about.workspace_id));
  CO_TRY_ASSIGN(auto session, services.sessions.of(caller.about.workspace_id));
  RuntimeCall call{services,
                   {request, std::move(match.params), caller.caller, {}, caller.about},
                   std::move(session),
                   std::move(machine)};
  auto answered = co_await handler(call);
  if (!change) co_return answered;
  co_return co_await told_when_durable(services, call.call, match.route->pattern, Urgent::no, std::move(answered));
}

bool has_stray_slash(const std::vector<std::string>& segments) {
  std::size_t proxy = is_runtime_path(segments) ? 3 : 0;
  if (segments.size() > proxy + 1 && segments[proxy] == "runtimes") proxy += 2;
  const bool proxied = segments.size() > proxy && segments[proxy] == "proxy";
  const auto end = proxied ? segments.begin() + static_cast<std::ptrdiff_t>(proxy) : segments.end();
  return std::any_of(segments.begin(), end, [](const auto& one) { return one.find('/') != std::string::npos; });
}

}  // namespace cofferdam::api

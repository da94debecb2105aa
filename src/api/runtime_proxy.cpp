// The runtime's way to a server on the workspace's own loopback.
#include "api/guest_http.h"
#include "api/runtime_call.h"
#include "base/text.h"
#include "http/url.h"

namespace cofferdam::api {
namespace {

constexpr std::int64_t kMaxPort = 65535;
struct Target {
  std::uint16_t port = 0;
  std::size_t segments = 0;  // of the path that is the server's
};

Result<std::uint16_t> port_of(std::string_view target) {
  std::string_view host, port = target;
  if (const std::size_t colon = target.rfind(':'); colon != std::string_view::npos) {
    host = target.substr(0, colon);
    port = target.substr(colon + 1);
  }
  if (!host.empty() && host != "localhost" && host != "127.0.0.1" && host != "::1" && host != "[::1]") {
    return fail(Code::PermissionDenied, cat("'", host, "' is not the workspace's loopback"),
                "only servers on localhost can be reached");
  }
  auto number = parse_int("the port", port, 1, kMaxPort);
  if (!number) return fail(std::move(number.error()).in("the target of the proxy"));
  return static_cast<std::uint16_t>(*number);
}

Result<Target> target_of(const RuntimeCall& call) {
  const auto& request = call.request();
  Target target;
  target.segments = request.segments.size() - 1;
  if (const auto* header = request.headers.find("X-Oblien-Proxy-Target")) {
    TRY_ASSIGN(target.port, port_of(trim(*header)));
    return target;
  }
  if (const auto* query = request.find_query("x_oblien_target")) {
    TRY_ASSIGN(target.port, port_of(*query));
    return target;
  }
  if (target.segments == 0) {
    return fail(Code::InvalidArgument, "the proxy was not told where to",
                "send X-Oblien-Proxy-Target: PORT, or ask for /proxy/PORT/PATH");
  }
  TRY_ASSIGN(target.port, port_of(request.segments[1]));
  --target.segments;
  return target;
}

// The last `segments` of the path as they were sent.
std::string raw_path(std::string_view target, std::size_t segments) {
  std::string_view path = target.substr(0, target.find('?'));
  if (segments == 0) return "/";
  std::size_t at = path.size();
  if (path.ends_with('/')) --at;
  for (std::size_t i = 0; i < segments; ++i) at = path.rfind('/', at - 1);
  return std::string(path.substr(at));
}

// Without what was meant for the runtime. A token beside a bearer token is the server's own, unless it is the same one.
std::string raw_query(const http::Request& request) {
  const std::size_t mark = request.target.find('?');
  if (mark == std::string::npos) return {};
  const auto* authorization = request.headers.find("Authorization");
  std::string kept;
  for (const auto& item : split(std::string_view(request.target).substr(mark + 1), '&')) {
    const std::size_t equals = item.find('=');
    const auto name = http::percent_decode(item.substr(0, equals));
    if (name && *name == "x_oblien_target") continue;
    if (name && *name == "token") {
      const auto value = http::percent_decode(equals == std::string::npos ? "" : item.substr(equals + 1));
      const bool ours = authorization == nullptr || !value || authorization->ends_with(" " + *value);
      if (ours) continue;
    }
    kept += (kept.empty() ? "?" : "&") + item;
  }
  return kept;
}

}  // namespace

Task<http::Response> runtime_proxy(RuntimeCall& call) {
  auto& request = call.request();
  CO_TRY_ASSIGN(const Target target, target_of(call));
  GuestTarget server;
  server.machine = call.machine;
  server.port = target.port;
  server.target = raw_path(request.target, target.segments) + raw_query(request);
  server.host = cat("localhost:", target.port);
  // What the runtime itself was told.
  server.withheld = {"authorization", "x-oblien-proxy-target"};
  co_return co_await ask_guest(request, std::move(server), call.services.sessions.background());
}

}  // namespace cofferdam::api

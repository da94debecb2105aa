#include "api/api.h"

#include <grp.h>
#include <unistd.h>

#include <chrono>

#include "api/authentication.h"
#include "api/error_body.h"
#include "api/open_streams.h"
#include "api/permission.h"
#include "api/routes.h"
#include "api/runtime.h"
#include "base/log.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

// More builds at once would only take each other's disk and network.
constexpr std::size_t kBuildThreads = 2;
constexpr const char* kGroup = "cofferdam";

// Looked up each time, so that a group made later counts without a restart.
bool in_cofferdam_group(const http::Peer& peer) {
  group entry{};
  group* found = nullptr;
  std::string buffer(64U << 10, '\0');
  if (::getgrnam_r(kGroup, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return false;
  return peer.in_group(found->gr_gid);
}

}  // namespace

struct Api::State {
  State(const loop::asio::any_io_executor& executor, workspace::Manager& manager, identity::Identity& identity,
        monitor::Webhooks& webhooks, image::ImageStore& images, keys::ReceiptBook& receipts, loop::WorkerPool& workers,
        HostFacts facts, Shutdown shutdown)
      : builds(executor),
        streams(executor),
        sessions(executor, manager),
        open_streams(executor, identity.revocations()),
        services{manager,
                 identity,
                 webhooks,
                 images,
                 receipts,
                 workers,
                 builders,
                 builds,
                 streams,
                 sessions,
                 std::move(facts),
                 std::move(shutdown),
                 EventLog(executor),
                 {},
                 {}} {
    manager.on_event([this](const workspace::Event& event) { heard(event); });
  }

  loop::WorkerPool builders{kBuildThreads};
  loop::TaskGroup builds, streams;
  runtime::Sessions sessions;
  OpenStreams open_streams;
  Services services;

  void heard(const workspace::Event& event) {
    services.events.add(event);
    auto notice = notice_of(event);
    if (const auto slug = services.space_slugs.find(event.namespace_id); slug != services.space_slugs.end()) {
      notice.namespace_slug = slug->second;
    }
    services.webhooks.notify(std::move(notice));
    if (event.kind == workspace::EventKind::removed) {
      services.runtime_access.forget(event.workspace_id);
      streams.spawn("tokens of a removed workspace", forget_tokens(event.workspace_id));
    }
  }
  Task<void> forget_tokens(std::string workspace_id) {
    CO_TRY(co_await services.identity.tokens().forget_workspace(std::move(workspace_id)));
    co_return Status{};
  }

  Task<http::Response> handle(http::Request& request) {
    auto match = find_route(request.method, request.segments);
    const bool open = match.route != nullptr && match.route->reach == Reach::open;
    Result<Caller> caller = Caller{};
    if (!open || request.peer.local() || has_credentials(request)) {
      caller = authenticate(services.identity, request);
    } else {
      (void)take_bearer(request);
    }
    if (!caller) co_return refuse_caller(services.identity, request, caller.error());
    if (has_stray_slash(request.segments)) co_return refuse_slash(request);
    const auto started = std::chrono::steady_clock::now();
    auto response = caller->kind == identity::TokenKind::runtime ? co_await open_runtime(services, *caller, request)
                                                                 : co_await serve_control(*caller, request, match);
    const auto took = std::chrono::steady_clock::now() - started;
    const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    log_debug("request", {{"id", request.id},
                          {"who", caller->who.id},
                          {"method", request.method},
                          {"target", request.target},
                          {"took_us", std::to_string(took_us)},
                          {"error", response ? "" : response.error().message}});
    if (!response) co_return response;
    if (response->websocket == nullptr) add_security_headers(response->headers);
    co_return open_streams.guard(std::move(*response), caller->who);
  }

  static http::Response refuse_slash(const http::Request& request) {
    constexpr int kBadRequest = 400;
    const Error error{Code::InvalidArgument, "the path has an encoded slash (%2F) in a segment",
                      "no name of this API has a slash; paths of files go into the query or the body"};
    return error_response(request, kBadRequest, error);
  }

  Task<http::Response> serve_control(const Caller& caller, http::Request& request, Match& match) {
    constexpr int kMethodNotAllowed = 405;
    const std::string path = request.target.substr(0, request.target.find('?'));
    if (is_runtime_path(request.segments)) co_return co_await open_runtime_below_workspace(services, caller, request);
    if (match.route == nullptr && match.allowed.empty()) {
      co_return fail(Code::NotFound, cat("there is nothing at '", path, "'"),
                     "GET /openapi.json lists what there is; calls of the runtime need a runtime token");
    }
    if (match.route == nullptr) {
      const Error error{Code::Unimplemented, cat("'", path, "' does not know ", request.method),
                        cat("it knows ", match.allowed)};
      http::Response refused = error_response(request, kMethodNotAllowed, error);
      refused.headers.add("Allow", match.allowed);
      co_return refused;
    }
    Call call{request, std::move(match.params), &caller, match.route->summary};
    CO_TRY(co_await admit(services, *match.route, call));
    co_return co_await match.route->handler(services, call);
  }
};

Api::Api(loop::asio::any_io_executor executor, workspace::Manager& manager, identity::Identity& identity,
         monitor::Webhooks& webhooks, image::ImageStore& images, keys::ReceiptBook& receipts, loop::WorkerPool& workers,
         HostFacts facts, Shutdown shutdown)
    : state_(std::make_unique<State>(executor, manager, identity, webhooks, images, receipts, workers, std::move(facts),
                                     std::move(shutdown))) {}

Api::~Api() = default;

http::Handler Api::handler() {
  return [state = state_.get()](http::Request& request) { return state->handle(request); };
}

http::ErrorFormat Api::error_format() {
  return [](const http::Request& request, int status, const Error& error) {
    return error_response(request, status, error);
  };
}

http::AllowPeer Api::local_administrators() {
  return [](const http::Peer& peer) -> Status {
    if (!peer.local()) {
      return fail(Code::PermissionDenied, cat("'", peer.address, "' is no local administrator"),
                  "use the Unix socket of the daemon");
    }
    if (peer.uid == 0 || peer.uid == ::geteuid() || in_cofferdam_group(peer)) return {};
    return fail(Code::PermissionDenied,
                cat("the user with uid ", peer.uid, " is neither root nor in the group '", kGroup, "'"),
                cat("run as root, or join the group: usermod -aG ", kGroup, " USER"));
  };
}

http::AllowPeer Api::anybody() {
  return [](const http::Peer&) -> Status { return {}; };
}

void Api::set_address(std::string address) { state_->services.facts.address = std::move(address); }

const std::string& Api::address() const { return state_->services.facts.address; }

void Api::start() {
  state_->streams.spawn("activity of namespaces", state_->services.events.keep(state_->services.identity.namespaces()));
}

Task<void> Api::stop() {
  state_->streams.cancel();
  CO_TRY(co_await state_->streams.join());
  CO_TRY(co_await state_->sessions.stop());
  co_return co_await state_->builds.join();
}

}  // namespace cofferdam::api

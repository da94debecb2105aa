#include "api/api.h"

#include <grp.h>
#include <unistd.h>

#include <chrono>

#include "api/error_body.h"
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
  State(const loop::asio::any_io_executor& executor, workspace::Manager& manager, image::ImageStore& images,
        loop::WorkerPool& workers, HostFacts facts, Shutdown shutdown)
      : builds(executor),
        sessions(executor, manager),
        services{manager, images, workers, builders, builds, sessions, std::move(facts), std::move(shutdown)} {}

  loop::WorkerPool builders{kBuildThreads};
  loop::TaskGroup builds;
  runtime::Sessions sessions;
  Services services;

  Task<http::Response> handle(http::Request& request) {
    constexpr int kBadRequest = 400;
    if (has_stray_slash(request.segments)) {
      const Error error{Code::InvalidArgument, "the path has an encoded slash (%2F) in a segment",
                        "no name of this API has a slash; paths of files go into the query or the body"};
      co_return error_response(request, kBadRequest, error);
    }
    if (is_runtime_path(request.segments)) co_return co_await forward_to_runtime(services, request);
    auto match = find_route(request.method, request.segments);
    if (match.route == nullptr && match.allowed.empty()) {
      co_return fail(Code::NotFound, cat("there is nothing at '", request.target, "'"));
    }
    if (match.route == nullptr) {
      const Error error{Code::Unimplemented, cat("'", request.target, "' does not know ", request.method),
                        cat("it knows ", match.allowed)};
      constexpr int kMethodNotAllowed = 405;
      http::Response refused = error_response(request, kMethodNotAllowed, error);
      refused.headers.add("Allow", match.allowed);
      co_return refused;
    }
    Call call{request, std::move(match.params)};
    const auto started = std::chrono::steady_clock::now();
    auto response = co_await match.route->handler(services, call);
    const auto took = std::chrono::steady_clock::now() - started;
    const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    log_debug("request", {{"id", request.id},
                          {"method", request.method},
                          {"target", request.target},
                          {"took_us", std::to_string(took_us)},
                          {"error", response ? "" : response.error().message}});
    co_return response;
  }
};

Api::Api(loop::asio::any_io_executor executor, workspace::Manager& manager, image::ImageStore& images,
         loop::WorkerPool& workers, HostFacts facts, Shutdown shutdown)
    : state_(std::make_unique<State>(executor, manager, images, workers, std::move(facts), std::move(shutdown))) {}

Api::~Api() = default;

http::Handler Api::handler() {
  return [state = state_.get()](http::Request& request) { return state->handle(request); };
}

http::ErrorFormat Api::error_format() { return error_response; }

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

Task<void> Api::stop() {
  CO_TRY(co_await state_->sessions.stop());
  co_return co_await state_->builds.join();
}

}  // namespace cofferdam::api

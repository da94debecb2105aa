#include "api/api.h"

#include <grp.h>
#include <unistd.h>

#include <chrono>

#include "api/authentication.h"
#include "api/change.h"
#include "api/error_body.h"
#include "api/open_streams.h"
#include "api/permission.h"
#include "api/preview.h"
#include "api/refusal_log.h"
#include "api/routes.h"
#include "api/runtime.h"
#include "base/log.h"
#include "base/text.h"
#include "http/websocket.h"

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

// A line in the log when the client breaks the protocol.
class NotedSession final : public http::WebSocketSession {
 public:
  NotedSession(RefusalLog& log, const http::Request& request, std::string who,
               std::unique_ptr<http::WebSocketSession> inner)
      : log_(log), request_(request), who_(std::move(who)), inner_(std::move(inner)) {}

  Task<void> run(http::WebSocket& socket) override {
    const Status ended = co_await inner_->run(socket);
    if (!socket.violation().empty()) log_.note(request_, kSwitching, who_, socket.violation());
    co_return ended;
  }

 private:
  static constexpr int kSwitching = 101;
  RefusalLog& log_;
  const http::Request& request_;  // lives as long as the session
  std::string who_;
  std::unique_ptr<http::WebSocketSession> inner_;
};

}  // namespace

struct Api::State {
  State(const loop::asio::any_io_executor& executor, workspace::Manager& manager, identity::Identity& identity,
        monitor::Webhooks& webhooks, monitor::UsageHistory& usage, monitor::Quotas& quotas, monitor::Watch& watch,
        net::Networks& networks, incident::Containment& containment, incident::Drills& drills,
        incident::EvidenceDesk& evidence, image::ImageStore& images, keys::ReceiptBook& receipts,
        loop::WorkerPool& workers, HostFacts facts, Shutdown shutdown, ledger::Ledger* ledger)
      : builds(executor),
        streams(executor),
        sessions(executor, manager),
        open_streams(executor, identity.revocations()),
        services{manager,
                 identity,
                 webhooks,
                 usage,
                 quotas,
                 watch,
                 images,
                 receipts,
                 workers,
                 builders,
                 builds,
                 streams,
                 sessions,
                 std::move(facts),
                 std::move(shutdown),
                 ledger == nullptr ? static_cast<ledger::Recorder&>(no_recorder) : *ledger,
                 ledger,
                 EventLog(executor),
                 {},
                 {},
                 {},
                 networks,
                 containment,
                 drills,
                 evidence} {
    manager.on_event([this](const workspace::Event& event) { heard(event); });
    networks.on_exposure_end([this](const std::string& slug) { open_streams.end_visits(slug); });
  }

  loop::WorkerPool builders{kBuildThreads};
  ledger::NoRecorder no_recorder;
  loop::TaskGroup builds, streams;
  runtime::Sessions sessions;
  OpenStreams open_streams;
  RefusalLog refusals;
  Services services;

  void heard(const workspace::Event& event) {
    services.events.add(event);
    auto notice = notice_of(event);
    if (const auto slug = services.space_slugs.find(event.namespace_id); slug != services.space_slugs.end()) {
      notice.namespace_slug = slug->second;
    }
    services.webhooks.notify(std::move(notice));
    // What goes on in a machine that has slept is followed from here on, also when nobody asks for it.
    if (event.kind == workspace::EventKind::woken || event.kind == workspace::EventKind::resumed) {
      (void)sessions.of(event.workspace_id);
    }
    if (event.kind == workspace::EventKind::removed) {
      services.runtime_access.forget(event.workspace_id);
      services.workspace_answers.forget(event.workspace_id);
      streams.spawn("what is known of a removed workspace", forget_workspace(event.workspace_id));
    }
  }
  Task<void> forget_workspace(std::string workspace_id) {
    CO_TRY(co_await services.usage.forget_workspace(workspace_id));
    CO_TRY(co_await services.identity.tokens().forget_workspace(std::move(workspace_id)));
    co_return Status{};
  }

  Task<http::Response> handle(http::Request& request) {
    // Whoever visits an exposed port is no client of this API, and shows it no credential.
    if (auto visit = preview_slug(request, services.networks.preview_domain())) {
      const OpenStreams::Visit opener{visit->slug};
      const auto let_in = open_streams.now();
      open_streams.guard(request, opener);
      CO_TRY_ASSIGN(auto shown, co_await serve_preview(services, std::move(*visit), request));
      co_return open_streams.guard(std::move(shown), opener, let_in);
    }
    auto match = find_route(request.method, request.segments);
    const bool open = match.route != nullptr && match.route->reach == Reach::open;
    Result<Caller> caller = Caller{};
    const bool shown = has_credentials(request);
    if (!open || request.peer.local() || shown) {
      caller = authenticate(services.identity, request);
    } else {
      (void)take_bearer(request);
    }
    if (shown) tell_watch(request, caller);
    if (!caller) {
      auto refused = refuse_caller(services.identity, request, caller.error());
      refusals.note(request, refused.status, "", caller.error().message);
      co_return refused;
    }
    if (has_stray_slash(request.segments)) {
      auto refused = refuse_slash(request);
      refusals.note(request, refused.status, caller->who.id, "an encoded slash");
      co_return refused;
    }
    const auto let_in = open_streams.now();
    open_streams.guard(request, caller->who);
    const auto started = std::chrono::steady_clock::now();
    auto response = caller->kind == identity::TokenKind::runtime ? co_await open_runtime(services, *caller, request)
                                                                 : co_await serve_control(*caller, request, match);
    if (log_enabled(LogLevel::debug)) {
      const auto took = std::chrono::steady_clock::now() - started;
      const auto took_us = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
      log_debug("request", {{"id", request.id},
                            {"who", caller->who.id},
                            {"method", request.method},
                            {"target", request.target},
                            {"took_us", std::to_string(took_us)},
                            {"error", response ? "" : response.error().message}});
    }
    if (!response) co_return response;  // its answer is made of the error, and noted then: error_format()
    // What a server behind the proxy answers is that server's affair.
    constexpr int kFirstError = 400;
    if (response->status >= kFirstError && !response->source) {
      refusals.note(request, response->status, caller->who.id, "");
    }
    if (response->websocket == nullptr) {
      add_security_headers(response->headers);
    } else {
      response->websocket =
          std::make_unique<NotedSession>(refusals, request, caller->who.id, std::move(response->websocket));
    }
    co_return open_streams.guard(std::move(*response), caller->who, let_in);
  }

  void tell_watch(const http::Request& request, const Result<Caller>& caller) {
    if (caller && caller->source) {
      services.watch.credentials_used(caller->who.id, caller->who.address);
    } else if (!caller && caller.error().code != Code::ResourceExhausted) {
      services.watch.credentials_refused(request.peer.local() ? "" : request.peer.address, caller.error().message);
    }
  }

  static http::Response refuse_slash(const http::Request& request) {
    constexpr int kBadRequest = 400;
    const Error error{Code::InvalidArgument, "the path has an encoded slash (%2F) in a segment",
                      "no name of this API has a slash; paths of files go into the query or the body"};
    return error_response(request, kBadRequest, error);
  }

  Task<http::Response> serve_control(const Caller& caller, http::Request& request, Match& match) {
    constexpr int kMethodNotAllowed = 405;
    const auto path = [&request] { return request.target.substr(0, request.target.find('?')); };
    if (is_runtime_path(request.segments)) co_return co_await open_runtime_below_workspace(services, caller, request);
    if (match.route == nullptr && match.allowed.empty()) {
      co_return fail(Code::NotFound, cat("there is nothing at '", path(), "'"),
                     "GET /openapi.json lists what there is; calls of the runtime need a runtime token");
    }
    if (match.route == nullptr) {
      const Error error{Code::Unimplemented, cat("'", path(), "' does not know ", request.method),
                        cat("it knows ", match.allowed)};
      http::Response refused = error_response(request, kMethodNotAllowed, error);
      refused.headers.add("Allow", match.allowed);
      co_return refused;
    }
    Call call{request, std::move(match.params), &caller, match.route->summary};
    const bool change = is_change(request);
    const auto& handler = match.route->handler;
    const Urgent urgent = handler == shut_down_host || handler == contain_workspace ? Urgent::yes : Urgent::no;
    if (change) CO_TRY(may_change(services, urgent));
    if (auto admitted = co_await admit(services, *match.route, call); !admitted) {
      write_refusal(services, caller, request, admitted.error());
      co_return fail(std::move(admitted.error()));
    }
    // What is contained is for those who look into it, and for nobody else.
    const bool of_containment = handler == contain_workspace || handler == release_workspace ||
                                handler == export_evidence || handler == open_evidence_of;
    if (change && match.route->reach == Reach::workspace && !of_containment) {
      CO_TRY(services.manager.check_free(call.id()));
    }
    auto answered = co_await handler(services, call);
    if (!change) co_return answered;
    co_return co_await told_when_durable(services, call, match.route->pattern, urgent, std::move(answered));
  }
};

Api::Api(const loop::asio::any_io_executor& executor, workspace::Manager& manager, identity::Identity& identity,
         monitor::Webhooks& webhooks, monitor::UsageHistory& usage, monitor::Quotas& quotas, monitor::Watch& watch,
         net::Networks& networks, incident::Containment& containment, incident::Drills& drills,
         incident::EvidenceDesk& evidence, image::ImageStore& images, keys::ReceiptBook& receipts,
         loop::WorkerPool& workers, HostFacts facts, Shutdown shutdown, ledger::Ledger* ledger)
    : state_(std::make_unique<State>(executor, manager, identity, webhooks, usage, quotas, watch, networks, containment,
                                     drills, evidence, images, receipts, workers, std::move(facts), std::move(shutdown),
                                     ledger)) {}

Api::~Api() = default;

http::Handler Api::handler() {
  return [state = state_.get()](http::Request& request) { return state->handle(request); };
}

http::ErrorFormat Api::error_format() {
  return [state = state_.get()](const http::Request& request, int status, const Error& error) {
    // What has no id is an answer that is made ahead of need.
    if (!request.id.empty()) state->refusals.note(request, status, "", error.message);
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

void Api::serve_backups(MakeBackup make) { state_->services.make_backup = std::move(make); }

void Api::set_address(std::string address) { state_->services.facts.address = std::move(address); }

const std::string& Api::address() const { return state_->services.facts.address; }

void Api::tell(const monitor::QuotaNews& news) {
  auto& services = state_->services;
  monitor::Notice notice;
  notice.event = news.threshold ? "namespace.quota_threshold" : "namespace.quota_used_up";
  notice.time = std::chrono::system_clock::now();
  notice.namespace_id = news.namespace_id;
  const auto slug = services.space_slugs.find(news.namespace_id);
  if (slug != services.space_slugs.end()) notice.namespace_slug = slug->second;
  notice.detail = news.threshold ? cat(*news.threshold, " percent of its credits are used")
                                 : std::string("its credits are used up; its workspaces were stopped");
  services.webhooks.notify(std::move(notice));
}

void Api::start() {
  state_->streams.spawn("activity of namespaces", state_->services.events.keep(state_->services.identity.namespaces()));
}

void Api::take_over() { state_->sessions.take_over(); }

Task<void> Api::stop() {
  state_->streams.cancel();
  CO_TRY(co_await state_->streams.join());
  CO_TRY(co_await state_->sessions.stop());
  co_return co_await state_->builds.join();
}

}  // namespace cofferdam::api

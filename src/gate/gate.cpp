#include "gate/gate.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/fd_passing.h"
#include "base/log.h"
#include "base/text.h"

namespace cofferdam::gate {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSweepEvery{250};
constexpr milliseconds kFullSweepEvery{5000};
constexpr milliseconds kThrottle{5};
constexpr milliseconds kLogPatience{20};
constexpr milliseconds kIdle{5000};
// Beyond this many answers that nobody reads, no request is read either.
constexpr std::size_t kMaxWaiting = 256;

std::string refusal_text(FlowReason reason) { return cat("ingress: ", flow_reason_name(reason)); }

Code refusal_code(FlowReason reason) {
  switch (reason) {
    case FlowReason::not_allowed:
    case FlowReason::contained:
      return Code::PermissionDenied;
    case FlowReason::connection_limit:
    case FlowReason::connection_rate:
    case FlowReason::gate_full:
      return Code::ResourceExhausted;
    default:
      return Code::Unavailable;
  }
}

}  // namespace

Gate::Gate(EventLoop& loop, Resolver& resolver, UniqueFd control, const Start& start)
    : loop_(loop),
      control_(std::move(control)),
      shared_{loop, resolver, pipes_, log_, start.settings, start.max_flows, 0, 0, {}, {}, {}, {}, {}, {}} {
  shared_.find = [this](const std::string& id) {
    const auto found = workspaces_.find(id);
    return found == workspaces_.end() ? nullptr : found->second.get();
  };
  shared_.need_dial_sockets = [this](const std::string& id, std::uint32_t count) { tell(NeedDialSockets{id, count}); };
  shared_.ingress_settled = [this](std::uint64_t request, FlowReason reason) {
    if (reason == FlowReason::none) return tell(Done{request, 0});
    tell(Failed{request, refusal_code(reason), refusal_text(reason)});
  };
}

// Flows first: they look for each other's workspaces.
Gate::~Gate() {
  for (auto& [id, workspace] : workspaces_) workspace->cut(FlowReason::removed);
  shared_.graveyard.clear();
}

Status Gate::run() {
  TRY(loop_.add(control_.get(), EPOLLIN, *this));
  watched_ = EPOLLIN;
  while (!over_) {
    TRY(loop_.poll(wait_limit()));
    give_turns();
    resolver_limit_ = shared_.resolver.tick();
    sweep();
    shared_.graveyard.clear();
    removed_.clear();
    send_log();
  }
  return {};
}

milliseconds Gate::wait_limit() {
  if (!shared_.next_turn.empty()) return milliseconds(0);
  auto limit = std::min(kIdle, std::max(milliseconds(1), resolver_limit_));
  if (!shared_.throttled.empty()) limit = std::min(limit, kThrottle);
  if (!log_.empty()) limit = std::min(limit, kLogPatience);
  if (shared_.flows != 0) limit = std::min(limit, kSweepEvery);
  return limit;
}

void Gate::give_turns() {
  for (auto* list : {&shared_.next_turn, &shared_.throttled}) {
    const std::vector<Flow*> flows = std::exchange(*list, {});
    // A flow ends nobody but itself here, so all pointers stay good.
    for (auto* flow : flows) flow->waits_for_turn = false;
    for (auto* flow : flows) flow->resume();
  }
}

void Gate::sweep() {
  const auto now = loop_.now();
  if (now < next_sweep_) return;
  next_sweep_ = now + kSweepEvery;
  const auto kind = now >= next_full_sweep_ ? Workspace::Sweep::all : Workspace::Sweep::deadlines;
  if (kind == Workspace::Sweep::all) next_full_sweep_ = now + kFullSweepEvery;
  for (auto& [id, workspace] : workspaces_) workspace->tick(kind);
}

void Gate::ready(std::uint32_t events) {
  if ((events & EPOLLOUT) != 0) send_waiting();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) take_request();
}

void Gate::take_request() {
  auto received = receive_with_fds(control_.get(), kMaxControlBytes, kMaxControlFds);
  if (!received) {
    if (received.error().code == Code::ResourceExhausted) return;  // nothing there after all
    over_ = true;
    if (received.error().code == Code::Unavailable) return;  // the daemon is gone, and did not hear all we had to say
    log_error("a request cannot be read", {{"why", received.error().message}});
    return;
  }
  if (received->bytes.empty()) {
    over_ = true;
    return;
  }
  auto request = decode_request(received->bytes);
  if (!request) {
    // Only cofferd speaks here: what it says must be right, or nothing is certain any more.
    log_error("a request cannot be understood", {{"why", request.error().message}});
    over_ = true;
    return;
  }
  carry_out(request->number, std::move(request->request), std::move(received->fds));
}

void Gate::carry_out(std::uint64_t number, Request request, Fds fds) {
  if (auto* ingress = std::get_if<OpenIngress>(&request)) {
    auto workspace = find(ingress->workspace);
    if (workspace && fds.size() == 1) return (*workspace)->open_ingress(*ingress, std::move(fds[0]), number);
    const auto why =
        workspace ? Error{Code::InvalidArgument, "ingress: one descriptor is wanted", {}} : workspace.error();
    return tell(Failed{number, why.code, why.message});
  }
  const Answer answer = std::visit(
      [&](auto& m) -> Answer {
        using Message = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<Message, AddWorkspace> || std::is_same_v<Message, AddDialSockets>) {
          return handle(m, std::move(fds));
        } else if constexpr (std::is_same_v<Message, Ping>) {
          return 0;
        } else if constexpr (std::is_same_v<Message, Start> || std::is_same_v<Message, OpenIngress>) {
          return fail(Code::FailedPrecondition, "the gate has started already");
        } else {
          return handle(m);
        }
      },
      request);
  answer ? tell(Done{number, *answer}) : tell(Failed{number, answer.error().code, answer.error().message});
}

Result<Workspace*> Gate::find(const std::string& id) {
  if (auto* found = shared_.find(id)) return found;
  return fail(Code::NotFound, cat("the gate knows no workspace ", id));
}

Gate::Answer Gate::handle(ChangeSettings& m) {
  TRY(shared_.resolver.set_servers(m.settings.resolvers));
  const auto way = m.settings.proxy == shared_.settings.proxy ? Workspace::WayOut::same : Workspace::WayOut::other;
  shared_.settings = std::move(m.settings);
  std::uint32_t count = 0;
  for (auto& [id, workspace] : workspaces_) count += workspace->recheck(way);
  return count;
}

Gate::Answer Gate::handle(AddWorkspace& m, Fds fds) {
  if (workspaces_.contains(m.workspace)) {
    return fail(Code::AlreadyExists, cat("the gate has workspace ", m.workspace, " already"));
  }
  TRY_ASSIGN(auto made, Workspace::create(shared_, std::move(m), std::move(fds)));
  workspaces_.emplace(made->id(), std::move(made));
  return 0;
}

Gate::Answer Gate::handle(SetPolicy& m) {
  TRY_ASSIGN(auto* const workspace, find(m.workspace));
  return workspace->set_policy(std::move(m.policy));
}

Gate::Answer Gate::handle(AddDialSockets& m, Fds fds) {
  TRY_ASSIGN(auto* const workspace, find(m.workspace));
  workspace->add_dial_sockets(std::move(fds));
  return 0;
}

Gate::Answer Gate::handle(const Cut& m) {
  TRY_ASSIGN(auto* const workspace, find(m.workspace));
  const auto reason = m.kind == CutKind::contain ? FlowReason::contained : FlowReason::cut;
  if (m.kind == CutKind::contain) workspace->contain();
  return workspace->cut(reason) + cut_links_to(m.workspace, reason);
}

Gate::Answer Gate::handle(const Release& m) {
  TRY_ASSIGN(auto* const workspace, find(m.workspace));
  workspace->release();
  return 0;
}

Gate::Answer Gate::handle(const RemoveWorkspace& m) {
  TRY_ASSIGN(auto* const workspace, find(m.workspace));
  const auto count = workspace->cut(FlowReason::removed) + cut_links_to(m.workspace, FlowReason::removed);
  const auto found = workspaces_.find(m.workspace);
  removed_.push_back(std::move(found->second));
  workspaces_.erase(found);
  return count;
}

Gate::Answer Gate::handle(const QueryCounters& m) {
  if (!m.workspace.empty()) {
    TRY_ASSIGN(const auto* const workspace, find(m.workspace));
    tell(workspace->counters());
    return 0;
  }
  for (const auto& [id, workspace] : workspaces_) tell(workspace->counters());
  return 0;
}

std::uint32_t Gate::cut_links_to(const std::string& id, FlowReason reason) {
  std::uint32_t count = 0;
  for (auto& [other, workspace] : workspaces_) count += workspace->cut_links_to(id, reason);
  return count;
}

void Gate::tell(const Event& event) {
  waiting_.push_back(encode(event));
  send_waiting();
}

void Gate::send_waiting() {
  while (!waiting_.empty()) {
    const auto& packet = waiting_.front();
    if (::send(control_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != ENOBUFS) over_ = true;
      break;
    }
    waiting_.pop_front();
  }
  const std::uint32_t wanted =
      (waiting_.size() < kMaxWaiting ? EPOLLIN : 0U) | (waiting_.empty() ? 0U : static_cast<std::uint32_t>(EPOLLOUT));
  if (watched_ != 0 && wanted != watched_ && loop_.change(control_.get(), wanted, *this)) watched_ = wanted;
}

void Gate::send_log() {
  // Answers go first; the log waits in its own bounded place.
  while (waiting_.empty() && log_.due(loop_.now())) {
    auto batch = log_.take();
    const auto packet = encode(batch);
    if (::send(control_.get(), packet.data(), packet.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
      log_.put_back(std::move(batch));
      return;
    }
  }
}

}  // namespace cofferdam::gate

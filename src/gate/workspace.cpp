#include "gate/workspace.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "gate/dns_server.h"

namespace cofferdam::gate {
namespace {

constexpr int kAcceptsPerTurn = 64;
constexpr std::size_t kSocketsWanted = 8;
constexpr std::size_t kSocketsLow = 4;
constexpr std::chrono::seconds kAskAgain{1};
constexpr std::chrono::seconds kRest{1};
constexpr std::size_t kMaxWaitingForSocket = 1024;
// What one workspace may write into the log before records are left out.
constexpr std::uint64_t kRecordsPerSecond = 200;
constexpr std::uint64_t kRecordBurst = 2000;
constexpr int kKeepAliveSeconds = 60;

Status set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return fail_errno("make a descriptor non-blocking");
  return {};
}

// Connections inherit these from their listener.
void set_for_connections(int listener) {
  const int on = 1;
  ::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(listener, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof kKeepAliveSeconds);
}

}  // namespace

class Workspace::Listener final : public Watcher {
 public:
  explicit Listener(Workspace& owner) : owner_(owner) {}
  void ready(std::uint32_t /*events*/) override { owner_.accept_all(); }

 private:
  Workspace& owner_;
};

Workspace::Workspace(Shared& shared, AddWorkspace message, UniqueFd relay)
    : shared_(shared),
      id_(std::move(message.workspace)),
      guest_(message.guest),
      relay_(std::move(relay)),
      listener_(std::make_unique<Listener>(*this)),
      addresses_(message.synthetic),
      policy_(std::move(message.policy)),
      bytes_(policy_.limits.bytes_per_second, shared.loop.now()),
      connections_(policy_.limits.connections_per_second, shared.loop.now()),
      questions_(policy_.limits.dns_per_second, shared.loop.now()),
      records_(kRecordsPerSecond, kRecordBurst, shared.loop.now()) {
  counters_.workspace = id_;
}

Result<std::unique_ptr<Workspace>> Workspace::create(Shared& shared, AddWorkspace message, std::vector<UniqueFd> fds) {
  if (fds.size() != kWorkspaceFds) {
    return fail(Code::InvalidArgument, cat("workspace ", message.workspace, ": three descriptors are wanted"));
  }
  for (const auto& fd : fds) TRY(set_nonblocking(fd.get()));
  set_for_connections(fds[2].get());
  const Address guest = message.guest;
  std::unique_ptr<Workspace> made(new Workspace(shared, std::move(message), std::move(fds[2])));
  auto* self = made.get();
  made->dns_ = std::make_unique<DnsSockets>(shared.loop, guest, std::move(fds[0]), std::move(fds[1]),
                                            [self](ByteSpan packet) { return self->answer_question(packet); });
  TRY(made->dns_->start());
  TRY(shared.loop.add(made->relay_.get(), EPOLLIN, *made->listener_));
  return made;
}

Workspace::~Workspace() { shared_.loop.remove(relay_.get()); }

Result<std::uint32_t> Workspace::set_policy(Policy policy) {
  if (policy.generation < policy_.generation) {
    return fail(Code::FailedPrecondition,
                cat("policy ", policy.generation, " of ", id_, " is older than the one held, ", policy_.generation));
  }
  const auto way = policy.proxy == policy_.proxy ? WayOut::same : WayOut::other;
  policy_ = std::move(policy);
  const auto now = loop().now();
  bytes_.set_rate(policy_.limits.bytes_per_second, now);
  connections_.set_rate(policy_.limits.connections_per_second, now);
  questions_.set_rate(policy_.limits.dns_per_second, now);
  return recheck(way);
}

std::uint32_t Workspace::recheck(WayOut way) {
  std::uint32_t count = 0;
  for (auto at = flows_.begin(); at != flows_.end();) {
    Flow& flow = *at++;  // an end takes it off the list
    auto reason = flow.recheck();
    if (reason == FlowReason::none && way == WayOut::other && flow.goes_outside()) reason = FlowReason::policy_changed;
    if (reason == FlowReason::none) continue;
    flow.end(reason);
    ++count;
  }
  return count;
}

std::uint32_t Workspace::cut(FlowReason reason) {
  const auto count = static_cast<std::uint32_t>(flows_.size());
  while (!flows_.empty()) flows_.front().end(reason);
  return count;
}

std::uint32_t Workspace::cut_links_to(const std::string& target, FlowReason reason) {
  std::uint32_t count = 0;
  for (auto at = flows_.begin(); at != flows_.end();) {
    Flow& flow = *at++;
    if (flow.kind() != FlowKind::link || flow.target() != target) continue;
    flow.end(reason);
    ++count;
  }
  return count;
}

// What is contained neither dials nor is dialled; what was sent for it is kept.
void Workspace::add_dial_sockets(std::vector<UniqueFd> sockets) {
  sockets_asked_at_ = {};
  for (auto& socket : sockets) {
    if (dial_sockets_.size() < kMaxControlFds && set_nonblocking(socket.get())) {
      dial_sockets_.push_back(std::move(socket));
    }
  }
  while (!waiting_for_socket_.empty() && !dial_sockets_.empty()) {
    Flow* flow = waiting_for_socket_.front();
    waiting_for_socket_.pop_front();
    auto socket = std::move(dial_sockets_.back());
    dial_sockets_.pop_back();
    flow->take_socket(std::move(socket), guest_);
  }
}

FlowHost::InsideSocket Workspace::give_socket(Flow& flow) {
  InsideSocket given{UniqueFd(), guest_};
  if (!dial_sockets_.empty()) {
    given.socket = std::move(dial_sockets_.back());
    dial_sockets_.pop_back();
  } else if (waiting_for_socket_.size() < kMaxWaitingForSocket) {
    waiting_for_socket_.push_back(&flow);
  }
  if (dial_sockets_.size() < kSocketsLow) ask_for_sockets();
  return given;
}

void Workspace::ask_for_sockets() {
  if (loop().now() - sockets_asked_at_ < kAskAgain) return;
  sockets_asked_at_ = loop().now();
  const auto wanted = std::min(kMaxControlFds, kSocketsWanted + waiting_for_socket_.size() - dial_sockets_.size());
  shared_.need_dial_sockets(id_, static_cast<std::uint32_t>(wanted));
}

void Workspace::forget_waiting(const Flow& flow) { std::erase(waiting_for_socket_, &flow); }

std::optional<FlowHost::InsideSocket> Workspace::inside_socket(const std::string& target, Flow& flow) {
  Workspace* other = shared_.find(target);
  if (other == nullptr || other->contained_) return std::nullopt;
  return other->give_socket(flow);
}

void Workspace::open_ingress(const OpenIngress& message, UniqueFd client, std::uint64_t request) {
  auto reason = may_open();
  if (reason == FlowReason::none && !set_nonblocking(client.get())) reason = FlowReason::gate_full;
  Flow& flow = make_flow(FlowKind::ingress, std::move(client));
  flow.start_ingress(message, request, reason);
}

FlowReason Workspace::may_open() {
  if (contained_) return FlowReason::contained;
  if (shared_.flows >= shared_.max_flows) return FlowReason::gate_full;
  if (policy_.limits.connections != 0 && flows_.size() >= policy_.limits.connections) {
    return FlowReason::connection_limit;
  }
  if (!connections_.take_one(loop().now())) return FlowReason::connection_rate;
  return FlowReason::none;
}

void Workspace::accept_all() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd fd(::accept4(relay_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        // Asking again at once would be all we do.
        listener_rests_until_ = loop().now() + kRest;
        (void)loop().change(relay_.get(), 0, *listener_);
      }
      return;
    }
    if (const auto reason = may_open(); reason != FlowReason::none) {
      refuse_unheard(fd, reason);
      continue;
    }
    make_flow(FlowKind::egress, std::move(fd)).start();
  }
}

void Workspace::refuse_unheard(const UniqueFd& fd, FlowReason reason) {
  FlowRecord refused;
  refused.event = FlowEvent::refused;
  refused.flow = ++shared_.last_flow;
  refused.reason = reason;
  refused.time_us = wall_clock_us();
  if (const auto dialled = local_endpoint(fd.get())) {
    refused.address = dialled->address.text();
    refused.port = dialled->port;
    if (const auto name = addresses_.name_of(dialled->address)) refused.name = *name;
  }
  record(std::move(refused));
  reset_on_close(fd.get());
}

Flow& Workspace::make_flow(FlowKind kind, UniqueFd near) {
  flows_.emplace_back(*this, ++shared_.last_flow, kind, std::move(near));
  flows_.back().place = std::prev(flows_.end());
  ++shared_.flows;
  return flows_.back();
}

std::string Workspace::answer_question(ByteSpan packet) {
  auto reply = contained_                          ? DnsReply{{}, FlowReason::contained, {}}
               : questions_.take_one(loop().now()) ? answer_dns(packet, policy_, shared_.settings, addresses_)
                                                   : DnsReply{{}, FlowReason::dns_rate, {}};
  if (reply.refused == FlowReason::none) {
    ++counters_.dns_answered;
    return std::move(reply.packet);
  }
  ++counters_.dns_refused;
  FlowRecord refused;
  refused.kind = FlowKind::dns;
  refused.event = FlowEvent::refused;
  refused.flow = ++shared_.last_flow;
  refused.reason = reply.refused;
  refused.time_us = wall_clock_us();
  refused.name = reply.name;
  record(std::move(refused));
  return std::move(reply.packet);
}

std::optional<std::string> Workspace::synthetic_name(const Address& address) {
  if (!addresses_.contains(address)) return std::nullopt;
  return std::string(addresses_.name_of(address).value_or(""));
}

std::uint64_t Workspace::byte_budget(std::uint64_t wanted) { return bytes_.available(wanted, loop().now()); }

void Workspace::count_bytes(std::uint64_t out, std::uint64_t in) {
  counters_.bytes_out += out;
  counters_.bytes_in += in;
  bytes_.take(out + in);
}

void Workspace::call_later(Flow& flow, Later when) {
  if (flow.waits_for_turn) return;
  flow.waits_for_turn = true;
  (when == Later::next_turn ? shared_.next_turn : shared_.throttled).push_back(&flow);
}

void Workspace::record(FlowRecord record) {
  if (record.kind != FlowKind::dns) {
    if (record.event == FlowEvent::opened) ++counters_.opened;
    if (record.event == FlowEvent::refused) ++counters_.refused;
  }
  if (!records_.take_one(loop().now())) {
    ++counters_.records_omitted;
    return shared_.log.omit(id_);
  }
  record.workspace = id_;
  record.generation = policy_.generation;
  shared_.log.add(std::move(record), loop().now());
}

void Workspace::flow_ended(Flow& flow) {
  if (flow.waits_for_turn) {
    std::erase(shared_.next_turn, &flow);
    std::erase(shared_.throttled, &flow);
    flow.waits_for_turn = false;
  }
  if (flow.kind() != FlowKind::egress) {
    if (Workspace* target = shared_.find(flow.target())) target->forget_waiting(flow);
  }
  --shared_.flows;
  shared_.graveyard.splice(shared_.graveyard.end(), flows_, flow.place);
}

CountersReply Workspace::counters() const {
  CountersReply reply = counters_;
  reply.open_now = static_cast<std::uint32_t>(flows_.size());
  reply.generation = policy_.generation;
  return reply;
}

void Workspace::tick(Sweep sweep) {
  dns_->tick();
  if (listener_rests_until_ != Clock::time_point() && loop().now() >= listener_rests_until_) {
    listener_rests_until_ = {};
    (void)loop().change(relay_.get(), EPOLLIN, *listener_);
  }
  for (auto at = flows_.begin(); at != flows_.end();) {
    Flow& flow = *at++;
    if (sweep == Sweep::all || flow.has_deadline()) flow.tick();
  }
}

}  // namespace cofferdam::gate

#include "gate/flow.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "gate/address_guard.h"
#include "gate/client_hello.h"

namespace cofferdam::gate {
namespace {

constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr std::uint64_t kTurnBytes = 1U << 20;  // one flow's before the others have theirs
constexpr std::chrono::seconds kHalfClosed{300};
constexpr std::size_t kLookBytes = 4096;
constexpr std::size_t kStatusLine = 12;  // "HTTP/1.1 101"
constexpr std::uint8_t kTlsHandshake = 22;

bool client_speaks_first(std::uint16_t port) { return port == 443 || port == 80; }

}  // namespace

std::uint64_t wall_clock_us() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

std::optional<Endpoint> local_endpoint(int fd) {
  sockaddr_in local{};
  socklen_t size = sizeof local;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0 || local.sin_family != AF_INET) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &local.sin_addr, bytes.size());
  return Endpoint{Address::v4(bytes), ntohs(local.sin_port)};
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Flow::Flow(FlowHost& host, std::uint64_t id, FlowKind kind, UniqueFd near)
    : host_(host),
      id_(id),
      generation_(host.policy().generation),
      near_(*this),
      far_(*this),
      started_(host.loop().now()),
      active_(started_),
      started_us_(wall_clock_us()),
      kind_(kind) {
  near_.fd = std::move(near);
}

void Flow::Side::ready(std::uint32_t events) {
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readiness.readable = true;
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) readiness.writable = true;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readiness.hung_up = true;
  if ((events & EPOLLERR) != 0) failed = true;
  flow_.on_ready();
}

void Flow::on_ready() {
  if (state_ == State::looking) look();
  if (state_ == State::relaying) relay();
}

void Flow::start() {
  const auto dialled = local_endpoint(near_.fd.get());
  if (!dialled) return refuse(FlowReason::reset);
  wanted_ = address_ = dialled->address;
  port_ = dialled->port;
  if (const auto reason = choose_rule(); reason != FlowReason::none) return refuse(reason);
  if (!host_.loop().add(near_.fd.get(), kEvents, near_)) return refuse(FlowReason::gate_full);
  const bool looked_at = kind_ == FlowKind::egress &&
                         (inspect_ == Inspect::require || (inspect_ == Inspect::observe && client_speaks_first(port_)));
  if (!looked_at) return dial();
  state_ = State::looking;
  deadline_ = started_ + std::chrono::milliseconds(host_.settings().head_deadline_ms);
}

FlowReason Flow::choose_rule() {
  if (const auto* link = find_link(host_.policy(), wanted_, port_)) {
    kind_ = FlowKind::link;
    name_ = link->name;
    target_ = peer_ = link->target;
    return FlowReason::none;
  }
  if (const auto name = host_.synthetic_name(wanted_)) {
    if (name->empty()) return FlowReason::not_allowed;
    name_ = *name;
    return choose_name_rule(name_);
  }
  if (find_range_rule(host_.policy(), wanted_, port_) == nullptr) return FlowReason::not_allowed;
  if (denies_address(host_.settings(), wanted_)) return FlowReason::denied_by_operator;
  inspect_ = Inspect::observe;
  return FlowReason::none;
}

FlowReason Flow::choose_name_rule(const std::string& name) {
  if (denies_name(host_.settings(), name)) return FlowReason::denied_by_operator;
  const auto* rule = find_name_rule(host_.policy(), name, port_);
  if (rule == nullptr) return FlowReason::not_allowed;
  inspect_ = rule->inspect;
  strict_ = rule->strict;
  upgrade_ = rule->upgrade;
  return FlowReason::none;
}

void Flow::start_ingress(const OpenIngress& wanted, std::uint64_t request, FlowReason refused) {
  target_ = wanted.workspace;
  port_ = wanted.port;
  ingress_kind_ = wanted.kind;
  peer_ = wanted.client;
  ingress_request_ = request;
  if (refused != FlowReason::none) return refuse(refused);
  if (recheck() != FlowReason::none) return refuse(FlowReason::not_allowed);
  if (!host_.loop().add(near_.fd.get(), kEvents, near_)) return refuse(FlowReason::gate_full);
  dial();
}

void Flow::look() {
  std::array<char, kLookBytes> buffer;
  while (near_.readiness.readable && state_ == State::looking) {
    const ssize_t got = ::recv(near_.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return refuse(FlowReason::reset);
      near_.readiness.readable = false;
      return;
    }
    if (got == 0) return refuse(FlowReason::ended);
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(got));
    opening_->head += bytes;
    opening_->looked_at += bytes.size();
    const char first = opening_->head.front();
    if (static_cast<std::uint8_t>(first) == kTlsHandshake) {
      look_at_tls();
    } else if (first >= 'A' && first <= 'Z') {
      inspect_ == Inspect::require ? look_at_http() : observe_http();
    } else {
      not_understood(FlowReason::wrong_protocol);
    }
  }
}

// Where nothing is required, what is not understood goes its way.
void Flow::not_understood(FlowReason reason) { inspect_ == Inspect::require ? refuse(reason) : dial(); }

void Flow::look_at_tls() {
  ClientHello hello;
  switch (parse_client_hello(as_bytes(opening_->head), hello)) {
    case HelloState::more:
      if (opening_->head.size() >= kMaxHelloBytes) not_understood(FlowReason::bad_tls);
      return;
    case HelloState::bad:
      return not_understood(FlowReason::bad_tls);
    case HelloState::done:
      break;
  }
  peer_ = hello.server_name;
  ech_ = hello.ech == ClientHello::Ech::yes;
  if (inspect_ == Inspect::require) {
    if (strict_ == Strict::yes && ech_) return refuse(FlowReason::ech);
    if (peer_.empty()) return refuse(FlowReason::no_sni);
    if (peer_ != name_) return refuse(FlowReason::sni_mismatch);
  }
  if (!peer_.empty() && denies_name(host_.settings(), peer_)) return refuse(FlowReason::denied_by_operator);
  verified_ = true;
  dial();
}

void Flow::look_at_http() {
  if (!http_) http_ = std::make_unique<HttpPump>(name_, port_, upgrade_);
  http_->put(opening_->head);
  opening_->head.clear();
  peer_ = http_->last_host();
  if (http_->refused() != FlowReason::none && !http_->may_send()) return refuse(http_->refused());
  if (!http_->may_send()) return;
  verified_ = true;
  dial();
}

void Flow::observe_http() {
  const auto end = opening_->head.find("\r\n\r\n");
  if (end == std::string::npos && opening_->head.size() < kMaxHttpHead) return;
  const auto head = parse_request_head(std::string_view(opening_->head).substr(0, end + 4));
  if (head) {
    peer_ = head->host;
    if (denies_name(host_.settings(), peer_)) return refuse(FlowReason::denied_by_operator);
  }
  dial();
}

void Flow::dial() {
  state_ = State::dialling;
  deadline_ = host_.loop().now() + std::chrono::milliseconds(host_.settings().connect_deadline_ms);
  if (kind_ != FlowKind::egress) return dial_inside();
  opening_->dialer = std::make_unique<Dialer>(host_.loop(), host_.resolver(), host_.settings(), *this);
  DialTarget target;
  target.name = name_;
  if (name_.empty()) target.address = wanted_;
  target.port = port_;
  target.proxy = host_.policy().proxy;
  opening_->dialer->start(std::move(target));
}

void Flow::dial_inside() {
  auto inside = host_.inside_socket(target_, *this);
  if (!inside) return refuse(FlowReason::target_gone);
  if (inside->socket) take_socket(std::move(inside->socket), inside->guest);
}

void Flow::take_socket(UniqueFd socket, const Address& guest) {
  opening_->dialer = std::make_unique<Dialer>(host_.loop(), host_.resolver(), host_.settings(), *this);
  opening_->dialer->start_inside(std::move(socket), {guest, port_});
}

void Flow::dial_failed(FlowReason reason, const std::optional<Address>& address) {
  if (state_ != State::dialling) return;
  if (address) address_ = *address;
  refuse(reason);
}

void Flow::dialled(UniqueFd socket, const std::optional<Address>& address, std::string via) {
  if (state_ != State::dialling) return;
  far_.fd = std::move(socket);
  far_.readiness.writable = true;
  chosen_by_proxy_ = !address;
  if (address) address_ = *address;
  if (kind_ == FlowKind::egress) via_ = std::move(via);
  if (!host_.loop().change(far_.fd.get(), kEvents, far_)) return refuse(FlowReason::gate_full);
  if (!http_) out_.put_first(std::move(opening_->head));
  host_.count_bytes(opening_->looked_at, 0);
  state_ = State::relaying;
  deadline_ = {};
  active_ = host_.loop().now();
  host_.record(make_record(FlowEvent::opened, FlowReason::none));
  if (kind_ == FlowKind::ingress) host_.ingress_settled(ingress_request_, FlowReason::none);
  host_.call_later(*this, FlowHost::Later::next_turn);
}

void Flow::resume() {
  if (state_ == State::relaying) relay();
}

void Flow::relay() {
  if (opening_) opening_.reset();  // the dialer is not on the stack any more
  // Every change rechecks every flow; should one have been missed, it passes no byte under an older policy.
  if (generation_ != host_.policy().generation) {
    if (const auto reason = recheck(); reason != FlowReason::none) return end(reason);
  }
  const std::uint64_t budget = host_.byte_budget(kTurnBytes);
  // Where the rate is the bound, neither direction takes all of it.
  const std::uint64_t out_budget = budget == kTurnBytes ? budget : (budget + 1) / 2;
  const int near = near_.fd.get();
  const int far = far_.fd.get();
  StreamPump::State out{};
  StreamPump::State in = StreamPump::State::waiting;
  std::uint64_t sent = 0;
  if (http_) {
    out = http_->pump(near, near_.readiness, far, far_.readiness, out_budget);
    sent = http_->taken();
    if (http_->refused() != FlowReason::none && out == StreamPump::State::broken) {
      peer_ = http_->last_host();
      host_.count_bytes(sent, 0);
      return end(http_->refused());
    }
  } else {
    out = out_.pump(near, near_.readiness, far, far_.readiness, out_budget, host_.pipes());
    sent = out_.taken();
  }
  std::uint64_t received = 0;
  if (out != StreamPump::State::broken && settle_upgrade()) {
    in = in_.pump(far, far_.readiness, near, near_.readiness, budget - std::min(budget, sent), host_.pipes());
    received = in_.taken();
  }
  if (sent + received != 0) {
    active_ = host_.loop().now();
    kind_ == FlowKind::ingress ? host_.count_bytes(received, sent) : host_.count_bytes(sent, received);
  }
  out_ended_ = out == StreamPump::State::ended;
  in_ended_ = in == StreamPump::State::ended;
  if (out == StreamPump::State::broken || in == StreamPump::State::broken) return end(FlowReason::reset);
  if (out_ended_ && in_ended_) return end(FlowReason::ended);
  if ((near_.failed || far_.failed) && !in_.holds_bytes() && !out_.holds_bytes()) return end(FlowReason::reset);
  settle_deadline();
  if (out == StreamPump::State::paused || in == StreamPump::State::paused) {
    host_.call_later(*this, budget < kTurnBytes ? FlowHost::Later::throttled : FlowHost::Later::next_turn);
  }
}

// The near side may have asked for another protocol. Until the answer's first line is here, nothing is passed on.
bool Flow::settle_upgrade() {
  if (!http_ || !http_->waits_for_answer()) return true;
  std::array<char, kStatusLine> line;
  const ssize_t got = ::recv(far_.fd.get(), line.data(), line.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return errno != EAGAIN && errno != EINTR;
  const std::string_view status(line.data(), static_cast<std::size_t>(got));
  if (got != 0 && status.size() < line.size() && !far_.readiness.hung_up) return false;
  if (status == "HTTP/1.1 101") {
    http_moved_ = http_->moved();
    out_.put_first(http_->take_pending());
    http_.reset();
    upgraded_ = true;
  } else {
    http_->not_upgraded();
  }
  host_.call_later(*this, FlowHost::Later::next_turn);
  return true;
}

void Flow::settle_deadline() {
  const auto now = host_.loop().now();
  if (http_ && http_->in_head()) {
    if (deadline_ == Clock::time_point()) {
      deadline_ = now + std::chrono::milliseconds(host_.settings().head_deadline_ms);
    }
  } else {
    deadline_ = {};
  }
}

void Flow::tick() {
  const auto now = host_.loop().now();
  switch (state_) {
    case State::looking:
      if (now >= deadline_) refuse(FlowReason::head_deadline);
      break;
    case State::dialling:
      if (now >= deadline_) {
        return refuse(opening_->dialer ? opening_->dialer->slow_part() : FlowReason::unreachable);
      }
      if (opening_->dialer) opening_->dialer->tick();
      break;
    case State::relaying: {
      if (deadline_ != Clock::time_point() && now >= deadline_) return end(FlowReason::head_deadline);
      const auto asked = std::chrono::seconds(host_.policy().limits.idle_seconds);
      const auto idle = asked.count() == 0 ? std::chrono::seconds(Limits().idle_seconds) : asked;
      const auto limit = out_ended_ || in_ended_ ? std::min<std::chrono::seconds>(idle, kHalfClosed) : idle;
      if (now - active_ >= limit) end(FlowReason::idle);
      break;
    }
    case State::fresh:
    case State::over:
      break;
  }
}

FlowReason Flow::recheck() {
  const auto& policy = host_.policy();
  const auto& settings = host_.settings();
  generation_ = policy.generation;
  if (kind_ == FlowKind::ingress) {
    const bool listed = std::count(policy.exposed.begin(), policy.exposed.end(), port_) != 0;
    return ingress_kind_ == IngressKind::forwarded || listed ? FlowReason::none : FlowReason::policy_changed;
  }
  if (kind_ == FlowKind::link) {
    const auto* link = find_link(policy, wanted_, port_);
    return link != nullptr && link->target == target_ ? FlowReason::none : FlowReason::policy_changed;
  }
  const bool dialled = state_ == State::relaying && !chosen_by_proxy_;
  if (dialled && denies_address(settings, address_)) return FlowReason::denied_by_operator;
  if (dialled && !may_dial(settings, address_)) return FlowReason::policy_changed;
  if (!peer_.empty() && denies_name(settings, peer_)) return FlowReason::denied_by_operator;
  if (name_.empty()) {
    return find_range_rule(policy, wanted_, port_) != nullptr ? FlowReason::none : FlowReason::policy_changed;
  }
  if (denies_name(settings, name_)) return FlowReason::denied_by_operator;
  const auto* rule = find_name_rule(policy, name_, port_);
  if (rule == nullptr) return FlowReason::policy_changed;
  const bool looked_at = state_ == State::looking || verified_;
  if (rule->inspect == Inspect::require && (!looked_at || inspect_ != Inspect::require))
    return FlowReason::policy_changed;
  if (rule->strict == Strict::yes && ech_) return FlowReason::policy_changed;
  if (rule->upgrade == Upgrade::refuse && upgraded_) return FlowReason::policy_changed;
  strict_ = rule->strict;
  upgrade_ = rule->upgrade;
  if (http_) http_->set_upgrade(upgrade_);
  return FlowReason::none;
}

std::uint64_t Flow::moved_out() const { return http_ ? http_->moved() : http_moved_ + out_.moved(); }

FlowRecord Flow::make_record(FlowEvent event, FlowReason reason) const {
  FlowRecord record;
  record.flow = id_;
  record.kind = kind_;
  record.event = event;
  record.reason = reason;
  record.time_us = started_us_;
  record.name = name_;
  if (!chosen_by_proxy_) record.address = address_.text();
  record.port = port_;
  record.peer = peer_;
  record.via = via_;
  record.bytes_out = kind_ == FlowKind::ingress ? in_.moved() : moved_out();
  record.bytes_in = kind_ == FlowKind::ingress ? moved_out() : in_.moved();
  record.duration_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(host_.loop().now() - started_).count());
  return record;
}

void Flow::refuse(FlowReason reason) {
  if (state_ == State::over) return;
  host_.record(make_record(FlowEvent::refused, reason));
  if (kind_ == FlowKind::ingress) host_.ingress_settled(ingress_request_, reason);
  close_sockets(reason);
}

void Flow::end(FlowReason reason) {
  if (state_ == State::over) return;
  if (state_ != State::relaying) return refuse(reason);
  host_.record(make_record(FlowEvent::closed, reason));
  close_sockets(reason);
}

void Flow::close_sockets(FlowReason reason) {
  state_ = State::over;
  for (Side* side : {&near_, &far_}) {
    if (!side->fd) continue;
    // Whatever is on its way is thrown away, unless both sides came to their end.
    if (reason != FlowReason::ended) reset_on_close(side->fd.get());
    // A descriptor that came from the daemon may still be open there, and the loop would go on waiting for it.
    if (kind_ != FlowKind::egress) host_.loop().remove(side->fd.get());
    if (kind_ == FlowKind::ingress && side == &near_) ::shutdown(side->fd.get(), SHUT_RDWR);
    side->fd.reset();
  }
  host_.flow_ended(*this);
}

}  // namespace cofferdam::gate

#include "gate/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <iterator>
#include <string_view>

#include "base/dns_name.h"
#include "base/text.h"
#include "gate/address_guard.h"
#include "gate/proxy_talk.h"

namespace cofferdam::gate {
namespace {

constexpr std::chrono::seconds kAttempt{4};
constexpr std::size_t kMaxCandidates = 6;
constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_sockaddr(const Endpoint& endpoint) {
  SocketAddress out;
  const auto& bytes = endpoint.address.bytes();
  if (endpoint.address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    std::memcpy(&v4.sin_addr, bytes.data() + 12, 4);
    std::memcpy(&out.storage, &v4, sizeof v4);
    out.size = sizeof v4;
  } else {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(endpoint.port);
    std::memcpy(&v6.sin6_addr, bytes.data(), bytes.size());
    std::memcpy(&out.storage, &v6, sizeof v6);
    out.size = sizeof v6;
  }
  return out;
}

UniqueFd make_socket(const Address& address, int type) {
  return UniqueFd(::socket(address.is_v4() ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

// Hosts without IPv6 are many: IPv4 first, each family in the order the resolver gave; then the last one first, to be
// taken from the back.
std::vector<Address> in_order(const std::vector<Address>& addresses) {
  std::vector<Address> ordered;
  const auto is_v4 = [](const Address& address) { return address.is_v4(); };
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(ordered), is_v4);
  std::copy_if(addresses.begin(), addresses.end(), std::back_inserter(ordered), std::not_fn(is_v4));
  if (ordered.size() > kMaxCandidates) ordered.resize(kMaxCandidates);
  std::reverse(ordered.begin(), ordered.end());
  return ordered;
}

}  // namespace

bool is_own_address(const Address& address) {
  // Only an address of our own can be bound. Where the host lets any be (ip_nonlocal_bind), everything is refused.
  const UniqueFd probe = make_socket(address, SOCK_DGRAM);
  const auto wanted = to_sockaddr({address, 0});
  return probe && ::bind(probe.get(), wanted.get(), wanted.size) == 0;
}

Dialer::~Dialer() {
  resolver_.cancel(*this);
  drop_socket();
}

// A socket from the daemon may still be open there, and the loop would go on waiting for us.
void Dialer::drop_socket() {
  if (!socket_) return;
  loop_.remove(socket_.get());
  socket_.reset();
}

void Dialer::start(DialTarget target) {
  target_ = std::move(target);
  site_ = settings_.proxy;
  target_.proxy ? find_proxy() : find_target();
}

void Dialer::start_inside(UniqueFd socket, const Endpoint& guest) {
  socket_ = std::move(socket);
  candidates_ = {guest.address};
  target_.port = guest.port;
  if (!begin_connect(guest)) give_up(FlowReason::unreachable);
}

// What the guest could not reach as a destination is no proxy either.
bool Dialer::may_reach(const Address& address) const {
  return may_dial(settings_, address) && (!is_own_address(address) || any_contains(settings_.opened_ranges, address));
}

void Dialer::find_proxy() {
  const auto& own = *target_.proxy;
  const auto address = Address::parse(own.host);
  if (!address && denies_name(settings_, own.host)) return give_up(FlowReason::denied_by_operator);
  state_ = State::finding_proxy;
  if (address) return proxy_found({*address});
  if (site_ && site_->target == ProxyTarget::name) {
    ways_ = {Way{site_->endpoint, {{own.host, own.port, site_->login}}}};
    return find_target();
  }
  resolver_.resolve(own.host, *this);
}

void Dialer::proxy_found(const std::vector<Address>& addresses) {
  if (addresses.empty()) return give_up(FlowReason::proxy_unreachable);
  for (const auto& address : in_order(addresses)) {
    if (!may_reach(address)) {
      refused_ = address;
    } else if (site_) {
      ways_.push_back({site_->endpoint, {{address.text(), target_.proxy->port, site_->login}}});
    } else {
      ways_.push_back({{address, target_.proxy->port}, {}});
    }
  }
  if (ways_.empty()) return give_up(FlowReason::forbidden_address);
  refused_.reset();
  find_target();
}

void Dialer::find_target() {
  const bool named =
      (site_ && site_->target == ProxyTarget::name) || (target_.proxy && target_.proxy->target == ProxyTarget::name);
  if (target_.address) return target_found({*target_.address});
  if (named) {
    candidates_ = {std::nullopt};
    return try_next();
  }
  state_ = State::resolving;
  resolver_.resolve(target_.name, *this);
}

void Dialer::resolved(const std::vector<Address>& addresses) {
  state_ == State::finding_proxy ? proxy_found(addresses) : target_found(addresses);
}

void Dialer::target_found(const std::vector<Address>& addresses) {
  if (addresses.empty()) return give_up(FlowReason::unresolved);
  for (const auto& address : in_order(addresses)) {
    if (may_dial(settings_, address)) {
      candidates_.emplace_back(address);
    } else {
      refused_ = address;
    }
  }
  if (candidates_.empty()) return give_up(FlowReason::forbidden_address);
  try_next();
}

void Dialer::try_next() {
  while (!candidates_.empty()) {
    const auto to = plan();
    if (to) {
      socket_ = make_socket(to->address, SOCK_STREAM);
      if (socket_ && begin_connect(*to)) return;
      pass_over(asks_.empty() ? FlowReason::unreachable : FlowReason::proxy_unreachable);
    } else {
      pass_over(FlowReason::forbidden_address);
    }
  }
  give_up(why_);
}

std::optional<Endpoint> Dialer::plan() {
  const auto& address = candidates_.back();
  asks_.clear();
  asked_ = 0;
  // What the operator has opened inside is not the business of somebody outside.
  const bool inside = address && classify(*address) == AddressClass::site;
  over_ = target_.proxy && !inside ? Over::own_proxy : Over::direct;
  // It would lead a proxy of this host, or one that leads back here, to the host's own services.
  if (address && !may_reach(*address)) {
    refused_ = *address;
    return std::nullopt;
  }
  const std::string host = address ? address->text() : target_.name;
  if (over_ == Over::own_proxy) {
    asks_ = ways_.back().asks;
    asks_.push_back({host, target_.port, target_.proxy->login});
    return ways_.back().first;
  }
  if (!site_) return Endpoint{*address, target_.port};
  asks_.push_back({host, target_.port, site_->login});
  return site_->endpoint;
}

// The next way to the workspace's proxy, where that was not reached; or else the next address of the destination.
void Dialer::pass_over(FlowReason why) {
  why_ = why;
  drop_socket();
  if (over_ == Over::own_proxy && why == FlowReason::proxy_unreachable) {
    ways_.pop_back();
    if (ways_.empty()) candidates_.clear();
  } else {
    candidates_.pop_back();
  }
}

Status Dialer::begin_connect(const Endpoint& to) {
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  const auto address = to_sockaddr(to);
  if (::connect(socket_.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) return fail_errno("connect");
  state_ = State::connecting;
  hung_up_ = false;
  attempt_until_ = loop_.now() + kAttempt;
  return loop_.add(socket_.get(), kEvents, *this);
}

void Dialer::ready(std::uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if (state_ == State::connecting) return connected();
  if (state_ == State::asking_proxy) return hear_proxy();
}

void Dialer::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    pass_over(slow_part());
    return try_next();
  }
  sockaddr_storage peer{};
  size = sizeof peer;
  if (::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;  // not yet
  asks_.empty() ? succeed() : ask_proxy();
}

void Dialer::ask_proxy() {
  const auto& ask = asks_[asked_];
  const auto request = connect_request(ask.host, ask.port, ask.login);
  // A connection on which nothing waits takes so little at once.
  if (::send(socket_.get(), request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    pass_over(FlowReason::proxy_unreachable);
    return try_next();
  }
  state_ = State::asking_proxy;
  attempt_until_ = loop_.now() + kAttempt;
  hear_proxy();
}

void Dialer::hear_proxy() {
  // Looked at first and taken to the byte: what follows the head is the other side's.
  std::array<char, kMaxProxyAnswer> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const auto verdict = read_proxy_answer({buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got)});
  const bool last = asked_ + 1 == asks_.size();
  const bool cut = verdict.answer == ProxyAnswer::more && hung_up_;
  if (got <= 0 || cut || verdict.answer == ProxyAnswer::refused) {
    pass_over(last ? FlowReason::proxy_refused : FlowReason::proxy_unreachable);
    return try_next();
  }
  if (verdict.answer == ProxyAnswer::more) return;
  (void)::recv(socket_.get(), buffer.data(), verdict.head, MSG_DONTWAIT);
  if (last) return succeed();
  ++asked_;
  ask_proxy();
}

void Dialer::tick() {
  if ((state_ != State::connecting && state_ != State::asking_proxy) || loop_.now() < attempt_until_) return;
  if (candidates_.size() <= 1 && ways_.size() <= 1) return;  // the flow's own deadline is the last one's
  pass_over(slow_part());
  try_next();
}

FlowReason Dialer::slow_part() const {
  if (state_ == State::finding_proxy) return FlowReason::proxy_unreachable;
  if (asks_.empty()) return FlowReason::unreachable;
  const bool at_last = state_ == State::asking_proxy && asked_ + 1 == asks_.size();
  return at_last ? FlowReason::unreachable : FlowReason::proxy_unreachable;
}

void Dialer::give_up(FlowReason reason) {
  state_ = State::over;
  drop_socket();
  owner_.dial_failed(reason, reason == FlowReason::forbidden_address ? refused_ : std::nullopt);
}

void Dialer::succeed() {
  state_ = State::over;
  owner_.dialled(std::move(socket_), candidates_.back(), via());
}

std::string Dialer::via() const {
  std::string text;
  if (site_) text = kOperatorsProxy;
  if (over_ == Over::own_proxy) {
    text += cat(text.empty() ? "" : ",", host_and_port(target_.proxy->host, target_.proxy->port));
  }
  return text.empty() ? std::string(kNoProxy) : text;
}

}  // namespace cofferdam::gate

#include "gate/dialer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <string_view>

#include "base/text.h"
#include "gate/address_guard.h"

namespace cofferdam::gate {
namespace {

constexpr std::chrono::seconds kAttempt{4};
constexpr std::size_t kMaxCandidates = 6;
constexpr std::size_t kMaxProxyAnswer = 8192;
constexpr std::string_view kHeadEnd = "\r\n\r\n";
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
  const bool by_proxy = settings_.proxy && settings_.proxy->target == ProxyTarget::name && !target_.name.empty();
  if (by_proxy) {
    candidates_ = {Address()};
    try_next();
  } else if (target_.address) {
    resolved({*target_.address});
  } else {
    state_ = State::resolving;
    resolver_.resolve(target_.name, *this);
  }
}

void Dialer::start_inside(UniqueFd socket, const Endpoint& guest) {
  socket_ = std::move(socket);
  current_ = guest.address;
  target_.port = guest.port;
  if (!begin_connect(guest)) give_up(FlowReason::unreachable);
}

void Dialer::resolved(const std::vector<Address>& addresses) {
  if (addresses.empty()) return give_up(FlowReason::unresolved);
  for (const auto& address : addresses) {
    if (may_dial(settings_, address)) {
      candidates_.push_back(address);
    } else {
      refused_ = address;
    }
  }
  // Hosts without IPv6 are many: IPv4 first, each family in the order the resolver gave.
  std::vector<Address> six;
  std::copy_if(candidates_.begin(), candidates_.end(), std::back_inserter(six),
               [](const Address& a) { return !a.is_v4(); });
  std::erase_if(candidates_, [](const Address& a) { return !a.is_v4(); });
  candidates_.insert(candidates_.end(), six.begin(), six.end());
  if (candidates_.size() > kMaxCandidates) candidates_.resize(kMaxCandidates);
  std::reverse(candidates_.begin(), candidates_.end());
  if (candidates_.empty()) return give_up(FlowReason::forbidden_address);
  try_next();
}

void Dialer::try_next() {
  while (!candidates_.empty()) {
    current_ = candidates_.back();
    candidates_.pop_back();
    Endpoint to{current_, target_.port};
    if (settings_.proxy) {
      to = settings_.proxy->endpoint;
    } else if (is_own_address(current_) && !any_contains(settings_.opened_ranges, current_)) {
      refused_ = current_;
      continue;
    }
    socket_ = make_socket(to.address, SOCK_STREAM);
    if (socket_ && begin_connect(to)) return;
  }
  give_up(refused_ && current_ == *refused_ ? FlowReason::forbidden_address : FlowReason::unreachable);
}

Status Dialer::begin_connect(const Endpoint& to) {
  const int on = 1;
  ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  const auto address = to_sockaddr(to);
  if (::connect(socket_.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) return fail_errno("connect");
  state_ = State::connecting;
  attempt_until_ = loop_.now() + kAttempt;
  return loop_.add(socket_.get(), kEvents, *this);
}

void Dialer::ready(std::uint32_t /*events*/) {
  if (state_ == State::connecting) return connected();
  if (state_ == State::asking_proxy) return read_proxy_answer();
}

void Dialer::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    drop_socket();
    return try_next();
  }
  sockaddr_storage peer{};
  size = sizeof peer;
  if (::getpeername(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;  // not yet
  if (settings_.proxy && (!target_.name.empty() || target_.address)) return ask_proxy();
  succeed();
}

void Dialer::ask_proxy() {
  const bool by_name = settings_.proxy->target == ProxyTarget::name && !target_.name.empty();
  const auto text = current_.text();
  const auto host = by_name ? target_.name : (current_.is_v4() ? text : cat("[", text, "]"));
  const auto request =
      cat("CONNECT ", host, ":", target_.port, " HTTP/1.1\r\nHost: ", host, ":", target_.port, "\r\n\r\n");
  // A new connection takes so little at once.
  if (::send(socket_.get(), request.data(), request.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    drop_socket();
    return try_next();
  }
  state_ = State::asking_proxy;
  attempt_until_ = loop_.now() + kAttempt;
  read_proxy_answer();
}

void Dialer::read_proxy_answer() {
  // Looked at first and taken to the byte: what follows the head is the other side's.
  std::array<char, kMaxProxyAnswer> buffer;
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  const std::string_view seen(buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
  const auto end = seen.find(kHeadEnd);
  if (end == std::string_view::npos && !seen.empty() && seen.size() < buffer.size()) return;
  const bool accepted = end != std::string_view::npos && starts_with(seen, "HTTP/1.") && seen.substr(8, 4) == " 200";
  if (!accepted) {
    drop_socket();
    return try_next();
  }
  (void)::recv(socket_.get(), buffer.data(), end + kHeadEnd.size(), MSG_DONTWAIT);
  succeed();
}

void Dialer::tick() {
  if ((state_ != State::connecting && state_ != State::asking_proxy) || loop_.now() < attempt_until_) return;
  if (candidates_.empty()) return;  // the flow's own deadline is the last one's
  drop_socket();
  try_next();
}

void Dialer::give_up(FlowReason reason) {
  state_ = State::over;
  drop_socket();
  owner_.dial_failed(reason, reason == FlowReason::forbidden_address ? refused_ : std::nullopt);
}

void Dialer::succeed() {
  state_ = State::over;
  owner_.dialled(std::move(socket_), current_);
}

}  // namespace cofferdam::gate

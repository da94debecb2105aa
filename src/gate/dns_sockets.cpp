#include "gate/dns_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "gate/dns_message.h"

namespace cofferdam::gate {
namespace {

constexpr int kPacketsPerTurn = 32;
constexpr std::size_t kMaxConnections = 16;
constexpr std::size_t kLengthBytes = 2;
constexpr std::chrono::seconds kConnectionLife{5};

bool is_from(const sockaddr_in& sender, const Address& guest) {
  return sender.sin_family == AF_INET && std::memcmp(&sender.sin_addr, guest.bytes().data() + 12, 4) == 0;
}

}  // namespace

class DnsSockets::Udp final : public Watcher {
 public:
  explicit Udp(DnsSockets& owner) : owner_(owner) {}
  void ready(std::uint32_t /*events*/) override { owner_.read_udp(); }

 private:
  DnsSockets& owner_;
};

class DnsSockets::Listener final : public Watcher {
 public:
  explicit Listener(DnsSockets& owner) : owner_(owner) {}
  void ready(std::uint32_t /*events*/) override { owner_.accept_tcp(); }

 private:
  DnsSockets& owner_;
};

// Messages with their length in front (RFC 7766), one after the other.
class DnsSockets::Connection final : public Watcher {
 public:
  Connection(DnsSockets& owner, UniqueFd fd)
      : owner_(owner), fd_(std::move(fd)), until_(owner.loop_.now() + kConnectionLife) {}

  Status start() { return owner_.loop_.add(fd_.get(), EPOLLIN, *this); }
  [[nodiscard]] bool over() const { return !fd_ || owner_.loop_.now() >= until_; }

  void ready(std::uint32_t /*events*/) override {
    if (!fd_) return;
    std::array<char, kLengthBytes + kMaxDnsPacket> buffer;
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size() - received_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return fd_.reset();
    received_.append(buffer.data(), static_cast<std::size_t>(got));
    while (fd_ && received_.size() >= kLengthBytes) {
      const std::size_t length = static_cast<std::size_t>(static_cast<std::uint8_t>(received_[0])) << 8 |
                                 static_cast<std::uint8_t>(received_[1]);
      if (length > kMaxDnsPacket) return fd_.reset();
      if (received_.size() < kLengthBytes + length) return;
      reply(as_bytes(received_).subspan(kLengthBytes, length));
      received_.erase(0, kLengthBytes + length);
    }
  }

 private:
  void reply(ByteSpan packet) {
    const auto answer = owner_.answer_(packet);
    if (answer.empty()) return fd_.reset();
    const std::string framed =
        std::string{static_cast<char>(answer.size() >> 8), static_cast<char>(answer.size() & 0xff)} + answer;
    // Whoever does not take a few hundred bytes at once is not waited for.
    if (::send(fd_.get(), framed.data(), framed.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
        static_cast<ssize_t>(framed.size())) {
      fd_.reset();
    }
  }

  DnsSockets& owner_;
  UniqueFd fd_;
  std::string received_;
  Clock::time_point until_;
};

DnsSockets::DnsSockets(EventLoop& loop, Address guest, UniqueFd udp, UniqueFd tcp_listener, Answer answer)
    : loop_(loop),
      guest_(guest),
      udp_(std::move(udp)),
      listener_(std::move(tcp_listener)),
      answer_(std::move(answer)),
      udp_watcher_(std::make_unique<Udp>(*this)),
      listener_watcher_(std::make_unique<Listener>(*this)) {}

// The daemon may hold the same sockets: closing ours would not end the waiting for them.
DnsSockets::~DnsSockets() {
  loop_.remove(udp_.get());
  loop_.remove(listener_.get());
}

Status DnsSockets::start() {
  TRY(loop_.add(udp_.get(), EPOLLIN, *udp_watcher_));
  return loop_.add(listener_.get(), EPOLLIN, *listener_watcher_);
}

void DnsSockets::read_udp() {
  for (int i = 0; i < kPacketsPerTurn; ++i) {
    std::array<std::uint8_t, kMaxDnsPacket + 1> buffer;
    sockaddr_in sender{};
    socklen_t size = sizeof sender;
    const ssize_t got =
        ::recvfrom(udp_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&sender), &size);
    if (got < 0) return;
    if (!is_from(sender, guest_)) continue;
    const auto answer = answer_({buffer.data(), static_cast<std::size_t>(got)});
    if (answer.empty()) continue;
    (void)::sendto(udp_.get(), answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&sender), size);
  }
}

void DnsSockets::accept_tcp() {
  sockaddr_in sender{};
  socklen_t size = sizeof sender;
  UniqueFd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&sender), &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd || !is_from(sender, guest_) || connections_.size() >= kMaxConnections) return;
  connections_.emplace_back(*this, std::move(fd));
  if (!connections_.back().start()) connections_.pop_back();
}

void DnsSockets::tick() {
  connections_.remove_if([](const Connection& one) { return one.over(); });
}

}  // namespace cofferdam::gate

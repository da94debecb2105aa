#include "gate/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>

#include <algorithm>
#include <list>
#include <unordered_map>

#include "base/text.h"

namespace cofferdam::gate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxCached = 4096;
constexpr std::size_t kMaxAddresses = 32;
constexpr std::size_t kMaxAsking = 4096;  // names at one time
constexpr seconds kMinTtl{1};
constexpr seconds kMaxTtl{300};
constexpr seconds kFailureTtl{2};
constexpr int kTryMs = 2000;
constexpr int kTries = 3;
constexpr milliseconds kNothingToDo{60'000};

// One socket of c-ares.
class AresSocket final : public Watcher {
 public:
  AresSocket(ares_channel channel, ares_socket_t socket) : channel_(channel), socket_(socket) {}
  void ready(std::uint32_t events) override {
    const bool read = (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
    const bool write = (events & EPOLLOUT) != 0;
    // May close the socket, and then we are parked in the resolver until its next tick.
    ares_process_fd(channel_, read ? socket_ : ARES_SOCKET_BAD, write ? socket_ : ARES_SOCKET_BAD);
  }

 private:
  ares_channel channel_;
  ares_socket_t socket_;
};

Address from_sockaddr(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    std::array<std::uint8_t, 4> bytes{};
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&v4->sin_addr), bytes.size(), bytes.begin());
    return Address::v4(bytes);
  }
  std::array<std::uint8_t, 16> bytes{};
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  std::copy_n(reinterpret_cast<const std::uint8_t*>(&v6->sin6_addr), bytes.size(), bytes.begin());
  return Address::v6(bytes);
}

class AresResolver final : public Resolver {
 public:
  explicit AresResolver(EventLoop& loop) : loop_(loop) {}
  ~AresResolver() override {
    closing_ = true;
    if (channel_ != nullptr) ares_destroy(channel_);
    ares_library_cleanup();
  }

  Status start() {
    if (const int rc = ares_library_init(ARES_LIB_INIT_ALL); rc != ARES_SUCCESS) return ares_failure("start", rc);
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
    options.timeout = kTryMs;
    options.tries = kTries;
    char dns_only[] = "b";
    options.lookups = dns_only;
    options.sock_state_cb = on_socket_state;
    options.sock_state_cb_data = this;
    const int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
    if (const int rc = ares_init_options(&channel_, &options, mask); rc != ARES_SUCCESS) {
      return ares_failure("start", rc);
    }
    ares_addr_port_node* servers = nullptr;
    if (const int rc = ares_get_servers_ports(channel_, &servers); rc != ARES_SUCCESS) {
      return ares_failure("read the servers", rc);
    }
    for (const auto* server = servers; server != nullptr; server = server->next) {
      std::array<std::uint8_t, 16> bytes{};
      const auto* raw = reinterpret_cast<const std::uint8_t*>(&server->addr);
      std::copy_n(raw, server->family == AF_INET ? 4 : 16, bytes.begin());
      const Address address =
          server->family == AF_INET ? Address::v4({bytes[0], bytes[1], bytes[2], bytes[3]}) : Address::v6(bytes);
      host_servers_.push_back({address, static_cast<std::uint16_t>(server->udp_port)});
    }
    ares_free_data(servers);
    return {};
  }

  Status set_servers(const std::vector<Endpoint>& servers) override {
    std::string list;
    for (const auto& server : servers.empty() ? host_servers_ : servers) {
      const auto text = server.address.text();
      if (!list.empty()) list += ",";
      list += server.address.is_v4() ? text : cat("[", text, "]");
      if (server.port != 0) list += cat(":", server.port);
    }
    ares_cancel(channel_);  // its servers may only change when it is idle
    if (const int rc = ares_set_servers_ports_csv(channel_, list.c_str()); rc != ARES_SUCCESS) {
      return ares_failure(cat("set the servers to ", list), rc);
    }
    cache_.clear();
    return {};
  }

  void resolve(const std::string& name, Waiter& waiter) override {
    if (const auto cached = cache_.find(name); cached != cache_.end() && cached->second.until > loop_.now()) {
      waiter.resolved(cached->second.addresses);
      return;
    }
    const auto asking = asking_.find(name);
    if (asking != asking_.end()) {
      asking->second->waiters.push_back(&waiter);
      return;
    }
    if (asking_.size() >= kMaxAsking) {
      waiter.resolved({});
      return;
    }
    auto* question = new Question{this, name, {&waiter}};  // owned by c-ares until on_answer()
    asking_.emplace(name, question);
    ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_flags = ARES_AI_NOSORT;
    ares_getaddrinfo(channel_, question->name.c_str(), nullptr, &hints, on_answer, question);
  }

  void cancel(Waiter& waiter) override {
    for (auto& [name, question] : asking_) std::erase(question->waiters, &waiter);
  }

  milliseconds tick() override {
    closed_.clear();
    if (asking_.empty()) return kNothingToDo;
    ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // what has timed out
    closed_.clear();
    timeval limit{};
    const timeval* wait = ares_timeout(channel_, nullptr, &limit);
    if (wait == nullptr) return kNothingToDo;
    return std::max(milliseconds(1), milliseconds(wait->tv_sec * 1000 + wait->tv_usec / 1000));
  }

 private:
  struct Question {
    AresResolver* resolver;
    std::string name;
    std::vector<Waiter*> waiters;
  };
  struct Known {
    std::vector<Address> addresses;
    Clock::time_point until;
  };

  static tl::unexpected<Error> ares_failure(std::string_view what, int rc) {
    return fail(Code::Internal, cat("resolver: ", what, ": ", ares_strerror(rc)));
  }

  static void on_socket_state(void* data, ares_socket_t socket, int readable, int writable) {
    auto& self = *static_cast<AresResolver*>(data);
    const std::uint32_t events = (readable != 0 ? EPOLLIN : 0U) | (writable != 0 ? EPOLLOUT : 0U);
    auto known = self.sockets_.find(socket);
    if (events == 0) {
      if (known == self.sockets_.end()) return;
      self.loop_.remove(socket);
      self.closed_.push_back(std::move(known->second));  // an event for it may already be on its way
      self.sockets_.erase(known);
    } else if (known == self.sockets_.end()) {
      auto& added = self.sockets_[socket];
      added = std::make_unique<AresSocket>(self.channel_, socket);
      (void)self.loop_.add(socket, events, *added);
    } else {
      (void)self.loop_.change(socket, events, *known->second);
    }
  }

  static void on_answer(void* data, int status, int /*timeouts*/, ares_addrinfo* info) {
    const std::unique_ptr<Question> question(static_cast<Question*>(data));
    const std::unique_ptr<ares_addrinfo, void (*)(ares_addrinfo*)> owned(info, ares_freeaddrinfo);
    question->resolver->take_answer(*question, status, info);
  }

  void take_answer(const Question& question, int status, const ares_addrinfo* info) {
    Known known;
    seconds ttl = kFailureTtl;
    if (status == ARES_SUCCESS && info != nullptr) {
      ttl = kMaxTtl;
      for (const auto* node = info->nodes; node != nullptr && known.addresses.size() < kMaxAddresses;
           node = node->ai_next) {
        if (node->ai_family != AF_INET && node->ai_family != AF_INET6) continue;
        known.addresses.push_back(from_sockaddr(node->ai_addr));
        ttl = std::clamp(seconds(node->ai_ttl), kMinTtl, ttl);
      }
    }
    asking_.erase(question.name);
    if (closing_) return;
    if (cache_.size() >= kMaxCached) forget_some();
    if (status != ARES_ECANCELLED) cache_[question.name] = {known.addresses, loop_.now() + ttl};
    for (auto* waiter : question.waiters) waiter->resolved(known.addresses);
  }

  void forget_some() {
    std::erase_if(cache_, [this](const auto& entry) { return entry.second.until <= loop_.now(); });
    if (cache_.size() >= kMaxCached) cache_.clear();
  }

  EventLoop& loop_;
  ares_channel channel_ = nullptr;
  bool closing_ = false;
  std::vector<Endpoint> host_servers_;
  std::unordered_map<std::string, Known> cache_;
  std::unordered_map<std::string, Question*> asking_;
  std::unordered_map<ares_socket_t, std::unique_ptr<AresSocket>> sockets_;
  std::vector<std::unique_ptr<AresSocket>> closed_;
};

}  // namespace

Result<std::unique_ptr<Resolver>> Resolver::create(EventLoop& loop) {
  auto made = std::make_unique<AresResolver>(loop);
  TRY(made->start());
  return std::unique_ptr<Resolver>(std::move(made));
}

}  // namespace cofferdam::gate

// From a name or an address to a connected socket: resolve, check every address, connect, and through the operator's
// proxy, the workspace's own, or both, where there are any.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "gate/control.h"
#include "gate/event_loop.h"
#include "gate/resolver.h"

namespace cofferdam::gate {

struct DialTarget {
  std::string name;                // resolved, unless there is an address
  std::optional<Address> address;  // checked like one that was resolved
  std::uint16_t port = 0;
  std::optional<OwnProxy> proxy;  // of the workspace
};

class Dialer final : public Watcher, public Resolver::Waiter {
 public:
  // Told once, maybe from within start(); the dialer must live until the owner's next turn.
  class Owner {
   public:
    virtual ~Owner() = default;
    // `socket` waits in the loop for the dialer still: the owner changes that to itself. No address: a proxy was told
    // the name, and chose one itself. `via`: as in a FlowRecord.
    virtual void dialled(UniqueFd socket, const std::optional<Address>& address, std::string via) = 0;
    virtual void dial_failed(FlowReason reason, const std::optional<Address>& address) = 0;
  };

  Dialer(EventLoop& loop, Resolver& resolver, const Settings& settings, Owner& owner)
      : loop_(loop), resolver_(resolver), settings_(settings), owner_(owner) {}
  ~Dialer() override;

  // Outside, from the gate's own namespace.
  void start(DialTarget target);
  // Inside a workspace: `socket` was made in its namespace, and what it reaches is the guest alone.
  void start_inside(UniqueFd socket, const Endpoint& guest);
  // Goes on to the next address when one takes too long.
  void tick();
  // What to say when it took too long altogether.
  [[nodiscard]] FlowReason slow_part() const;

  void ready(std::uint32_t events) override;
  void resolved(const std::vector<Address>& addresses) override;

 private:
  enum class State : std::uint8_t { idle, finding_proxy, resolving, connecting, asking_proxy, over };
  // What a proxy is asked for: where to connect, and who asks.
  struct Ask {
    std::string host;
    std::uint16_t port = 0;
    std::string login;
  };
  // How the workspace's own proxy is reached: directly, or by asking the operator's.
  struct Way {
    Endpoint first;
    std::vector<Ask> asks;
  };
  void find_proxy();
  void proxy_found(const std::vector<Address>& addresses);
  void find_target();
  void target_found(const std::vector<Address>& addresses);
  void try_next();
  // Where to connect to for the candidate, and what to ask there; nullopt: it may not be dialled.
  std::optional<Endpoint> plan();
  // What was tried last leads nowhere.
  void pass_over(FlowReason why);
  Status begin_connect(const Endpoint& to);
  void connected();
  void ask_proxy();
  void hear_proxy();
  void give_up(FlowReason reason);
  void drop_socket();
  void succeed();
  [[nodiscard]] std::string via() const;
  [[nodiscard]] bool may_reach(const Address& address) const;

  EventLoop& loop_;
  Resolver& resolver_;
  const Settings& settings_;
  Owner& owner_;
  DialTarget target_;
  std::optional<HttpProxy> site_;  // the operator's, as it was when this began
  State state_ = State::idle;
  std::vector<Way> ways_;                           // to the workspace's own proxy; the next one last
  std::vector<std::optional<Address>> candidates_;  // checked; the next one last. Without: by its name
  std::optional<Address> refused_;                  // one that was not allowed
  FlowReason why_ = FlowReason::unreachable;        // the last one failed
  std::vector<Ask> asks_;                           // of proxies on the way that was taken, the destination last
  std::size_t asked_ = 0;                           // of them
  enum class Over : std::uint8_t { direct, own_proxy } over_ = Over::direct;
  UniqueFd socket_;
  bool hung_up_ = false;  // the other side will say no more
  Clock::time_point attempt_until_;
};

// Whether the host itself has this address: whoever dials it reaches the host's own services.
bool is_own_address(const Address& address);

}  // namespace cofferdam::gate

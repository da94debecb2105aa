// From a name or an address to a connected socket: resolve, check every address, connect, and through the operator's
// proxy where there is one.
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
};

class Dialer final : public Watcher, public Resolver::Waiter {
 public:
  // Told once, maybe from within start(); the dialer must live until the owner's next turn.
  class Owner {
   public:
    virtual ~Owner() = default;
    // `socket` waits in the loop for the dialer still: the owner changes that to itself.
    virtual void dialled(UniqueFd socket, const Address& address) = 0;
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

  void ready(std::uint32_t events) override;
  void resolved(const std::vector<Address>& addresses) override;

 private:
  enum class State : std::uint8_t { idle, resolving, connecting, asking_proxy, over };
  void try_next();
  Status begin_connect(const Endpoint& to);
  void connected();
  void ask_proxy();
  void read_proxy_answer();
  void give_up(FlowReason reason);
  void drop_socket();
  void succeed();

  EventLoop& loop_;
  Resolver& resolver_;
  const Settings& settings_;
  Owner& owner_;
  DialTarget target_;
  State state_ = State::idle;
  std::vector<Address> candidates_;  // checked; the next one last
  std::optional<Address> refused_;   // one that was not allowed
  Address current_;
  UniqueFd socket_;
  Clock::time_point attempt_until_;
};

// Whether the host itself has this address: whoever dials it reaches the host's own services.
bool is_own_address(const Address& address);

}  // namespace cofferdam::gate

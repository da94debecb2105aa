// A workspace's DNS over UDP and TCP: packets in, answers out, only from and to the guest.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "gate/event_loop.h"

namespace cofferdam::gate {

class DnsSockets {
 public:
  // An answer, or nothing.
  using Answer = std::function<std::string(ByteSpan)>;

  DnsSockets(EventLoop& loop, Address guest, UniqueFd udp, UniqueFd tcp_listener, Answer answer);
  ~DnsSockets();
  Status start();
  // Closes TCP connections that have taken too long, and destroys closed ones: not while events are handed out.
  void tick();

 private:
  class Udp;
  class Listener;
  class Connection;

  void read_udp();
  void accept_tcp();

  EventLoop& loop_;
  Address guest_;
  UniqueFd udp_;
  UniqueFd listener_;
  Answer answer_;
  std::unique_ptr<Udp> udp_watcher_;
  std::unique_ptr<Listener> listener_watcher_;
  std::list<Connection> connections_;
};

}  // namespace cofferdam::gate

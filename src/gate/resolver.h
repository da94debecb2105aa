// Names to addresses, in the host's namespace, on the gate's event loop (c-ares). Answers are kept as long as they say,
// within bounds. Nothing is read from /etc/hosts.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "gate/event_loop.h"
#include "gate/policy.h"

namespace cofferdam::gate {

class Resolver {
 public:
  // Told once; may be told from within resolve().
  class Waiter {
   public:
    virtual ~Waiter() = default;
    // Empty: there is no such name, or nobody answered.
    virtual void resolved(const std::vector<Address>& addresses) = 0;
  };

  // Reads /etc/resolv.conf, once: later no file can be opened.
  static Result<std::unique_ptr<Resolver>> create(EventLoop& loop);
  virtual ~Resolver() = default;

  // Empty: those of /etc/resolv.conf. What is known is forgotten.
  virtual Status set_servers(const std::vector<Endpoint>& servers) = 0;
  virtual void resolve(const std::string& name, Waiter& waiter) = 0;
  virtual void cancel(Waiter& waiter) = 0;
  // To be called every so often while something is asked for; says how long that may wait.
  virtual std::chrono::milliseconds tick() = 0;
};

}  // namespace cofferdam::gate

// Readiness on one thread: epoll, edge-triggered for sockets that carry bytes. Plain, because a gate holds tens of
// thousands of flows, and a coroutine frame for each would be most of its memory.
#pragma once
#include <sys/epoll.h>

#include <chrono>
#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::gate {

using Clock = std::chrono::steady_clock;

// Something that waits for a descriptor. It must remove its descriptors (or close them) before it goes, and it must not
// be destroyed while events are being handed out: see Gate's graveyard.
class Watcher {
 public:
  Watcher() = default;
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  virtual ~Watcher() = default;
  virtual void ready(std::uint32_t events) = 0;
};

class EventLoop {
 public:
  static Result<EventLoop> create();

  Status add(int fd, std::uint32_t events, Watcher& watcher);
  Status change(int fd, std::uint32_t events, Watcher& watcher);
  void remove(int fd);
  // Waits at most `limit`, hands out what is ready, and returns.
  Status poll(std::chrono::milliseconds limit);
  // The time as of the last poll(): cheap, and good to the length of one round.
  [[nodiscard]] Clock::time_point now() const { return now_; }

 private:
  explicit EventLoop(UniqueFd epoll) : epoll_(std::move(epoll)) {}
  UniqueFd epoll_;
  Clock::time_point now_ = Clock::now();
};

}  // namespace cofferdam::gate

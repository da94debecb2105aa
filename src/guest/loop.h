// The agent's event loop: descriptors, timers and the end of children on one epoll. One thread, no locks.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::guest {

class Loop {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Ready = std::function<void(std::uint32_t events)>;
  using TimerId = std::pair<TimePoint, std::uint64_t>;

  // Blocks SIGCHLD in this process and takes it by descriptor from here on.
  static Result<std::unique_ptr<Loop>> create();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Calls `ready` while the descriptor has one of `events` (EPOLLIN, …). The descriptor must be forgotten before it is
  // closed. Watching a watched descriptor replaces its events and its function.
  void watch(int fd, std::uint32_t events, Ready ready);
  void forget(int fd);

  TimerId at(TimePoint when, std::function<void()> action);
  TimerId after(std::chrono::milliseconds delay, std::function<void()> action);
  void cancel(TimerId timer);  // a timer that has fired is fine

  // Called for every child that ended, known or not: nothing stays a zombie.
  using Reaped = std::function<void(pid_t pid, int wait_status, const rusage& usage)>;
  void on_child_end(Reaped reaped) { reaped_ = std::move(reaped); }

  // Until stop().
  void run();
  void stop() { stopped_ = true; }
  // One round that waits at most `limit`.
  void run_once(std::chrono::milliseconds limit);

 private:
  Loop(UniqueFd epoll, UniqueFd signals) : epoll_(std::move(epoll)), signals_(std::move(signals)) {}
  void reap();
  void fire_timers();
  [[nodiscard]] int wait_ms(std::chrono::milliseconds limit) const;

  UniqueFd epoll_;
  UniqueFd signals_;
  std::unordered_map<int, std::shared_ptr<Ready>> watched_;
  std::map<TimerId, std::function<void()>> timers_;
  std::uint64_t next_timer_ = 0;
  Reaped reaped_;
  bool stopped_ = false;
};

}  // namespace cofferdam::guest

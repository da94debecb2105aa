#include "guest/loop.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "base/log.h"

namespace cofferdam::guest {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Result<std::unique_ptr<Loop>> Loop::create() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &child, nullptr) != 0) return fail_errno("block SIGCHLD");
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create");
  UniqueFd signals(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return fail_errno("signalfd");
  std::unique_ptr<Loop> loop(new Loop(std::move(epoll), std::move(signals)));
  loop->watch(loop->signals_.get(), EPOLLIN, [raw = loop.get()](std::uint32_t) { raw->reap(); });
  return loop;
}

void Loop::watch(int fd, std::uint32_t events, Ready ready) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const bool known = watched_.contains(fd);
  watched_[fd] = std::make_shared<Ready>(std::move(ready));
  if (::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    log_error("a descriptor cannot be watched", {{"error", errno_error("epoll_ctl", errno).message}});
  }
}

void Loop::forget(int fd) {
  if (watched_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Loop::TimerId Loop::at(TimePoint when, std::function<void()> action) {
  const TimerId id{when, next_timer_++};
  timers_.emplace(id, std::move(action));
  return id;
}

Loop::TimerId Loop::after(milliseconds delay, std::function<void()> action) {
  return at(steady_clock::now() + delay, std::move(action));
}

void Loop::cancel(TimerId timer) { timers_.erase(timer); }

void Loop::run() {
  while (!stopped_) run_once(std::chrono::hours(1));
}

void Loop::run_once(milliseconds limit) {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), wait_ms(limit));
  for (int i = 0; i < count; ++i) {
    // An earlier handler of this round may have forgotten the descriptor; the copy keeps a handler alive that
    // forgets itself.
    const auto found = watched_.find(events.at(static_cast<std::size_t>(i)).data.fd);
    if (found == watched_.end()) continue;
    const std::shared_ptr<Ready> ready = found->second;
    (*ready)(events.at(static_cast<std::size_t>(i)).events);
  }
  fire_timers();
}

int Loop::wait_ms(milliseconds limit) const {
  if (timers_.empty()) return static_cast<int>(limit.count());
  // Rounded up: a timer that is woken for too early would spin.
  const auto left = std::chrono::ceil<milliseconds>(timers_.begin()->first.first - steady_clock::now());
  return static_cast<int>(std::clamp(left, milliseconds(0), limit).count());
}

void Loop::fire_timers() {
  const auto now = steady_clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
}

void Loop::reap() {
  std::array<signalfd_siginfo, 8> infos{};
  while (::read(signals_.get(), infos.data(), sizeof infos) > 0) {
  }
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG | __WALL, &usage);
    if (pid <= 0) return;
    if (reaped_) reaped_(pid, status, usage);
  }
}

}  // namespace cofferdam::guest

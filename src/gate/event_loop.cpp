#include "gate/event_loop.h"

#include <array>
#include <cerrno>

#include "base/text.h"

namespace cofferdam::gate {
namespace {

constexpr int kEventsPerRound = 256;

Status control(int epoll, int operation, int fd, std::uint32_t events, Watcher* watcher) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watcher;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) return fail_errno(cat("epoll of descriptor ", fd));
  return {};
}

}  // namespace

Result<EventLoop> EventLoop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("epoll_create1");
  return EventLoop(std::move(epoll));
}

Status EventLoop::add(int fd, std::uint32_t events, Watcher& watcher) {
  return control(epoll_.get(), EPOLL_CTL_ADD, fd, events, &watcher);
}

Status EventLoop::change(int fd, std::uint32_t events, Watcher& watcher) {
  return control(epoll_.get(), EPOLL_CTL_MOD, fd, events, &watcher);
}

void EventLoop::remove(int fd) { (void)control(epoll_.get(), EPOLL_CTL_DEL, fd, 0, nullptr); }

Status EventLoop::poll(std::chrono::milliseconds limit) {
  std::array<epoll_event, kEventsPerRound> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerRound, static_cast<int>(limit.count()));
  now_ = Clock::now();
  if (count < 0 && errno != EINTR) return fail_errno("epoll_wait");
  for (int i = 0; i < count; ++i) {
    const auto& event = events.at(static_cast<std::size_t>(i));
    static_cast<Watcher*>(event.data.ptr)->ready(event.events);
  }
  return {};
}

}  // namespace cofferdam::gate

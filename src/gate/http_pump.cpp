#include "gate/http_pump.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace cofferdam::gate {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;

bool would_block(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

void HttpPump::put(std::string_view bytes) {
  pending_ += bytes;
  scan();
}

void HttpPump::not_upgraded() {
  requests_.not_upgraded();
  scan();
}

void HttpPump::scan() {
  const auto found = requests_.scan(std::string_view(pending_).substr(passable_));
  passable_ += found.pass;
  refused_ = found.refused;
}

HttpPump::State HttpPump::pump(int from, Readiness& from_ready, int to, Readiness& to_ready, std::uint64_t budget) {
  static std::array<char, kReadBytes> buffer;  // one thread: used between two system calls only
  taken_ = 0;
  while (true) {
    // What was right before it is sent on even when the next request is refused.
    if (passable_ != 0) {
      const auto sent = send_passable(to, to_ready);
      if (sent != State::paused) return sent;
      continue;
    }
    if (refused_ != FlowReason::none) return State::broken;
    if (end_seen_) {
      if (!end_passed_ && ::shutdown(to, SHUT_WR) != 0 && errno != ENOTCONN) return State::broken;
      end_passed_ = true;
      return State::ended;
    }
    if (requests_.waits_for_answer() || !from_ready.readable) return State::waiting;
    if (taken_ >= budget) return State::paused;
    const ssize_t got =
        ::recv(from, buffer.data(), std::min<std::uint64_t>(buffer.size(), budget - taken_), MSG_DONTWAIT);
    if (got < 0) {
      if (!would_block(errno)) return State::broken;
      from_ready.readable = errno == EINTR;
      continue;
    }
    taken_ += static_cast<std::uint64_t>(got);
    end_seen_ = got == 0;
    put({buffer.data(), static_cast<std::size_t>(got)});
  }
}

// `paused` when all is out.
HttpPump::State HttpPump::send_passable(int to, Readiness& to_ready) {
  if (!to_ready.writable) return State::waiting;
  const ssize_t sent = ::send(to, pending_.data(), passable_, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block(errno)) return State::broken;
    if (errno == EAGAIN) to_ready.writable = false;
    return errno == EAGAIN ? State::waiting : State::paused;
  }
  moved_ += static_cast<std::uint64_t>(sent);
  passable_ -= static_cast<std::size_t>(sent);
  pending_.erase(0, static_cast<std::size_t>(sent));
  if (pending_.empty()) std::string().swap(pending_);  // an idle connection keeps no buffer
  return State::paused;
}

}  // namespace cofferdam::gate

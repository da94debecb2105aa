#include "gate/stream_pump.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

namespace cofferdam::gate {
namespace {

// A read that fills this is the mark of a transfer worth a pipe.
constexpr std::size_t kCopyBytes = 16U << 10;
constexpr std::size_t kSpliceBytes = 1U << 20;  // the pipe's size is the real bound

bool would_block(int error) { return error == EAGAIN || error == EINTR; }

}  // namespace

StreamPump::State StreamPump::pump(int from, Readiness& from_ready, int to, Readiness& to_ready, std::uint64_t budget,
                                   PipePool& pipes) {
  taken_ = 0;
  while (true) {
    if (in_pipe_ != 0 || !rest_.empty()) {
      if (!to_ready.writable) return State::waiting;
      const auto drained = rest_.empty() ? drain_pipe(to, to_ready, pipes) : drain_rest(to, to_ready);
      if (drained == Step::broken) return State::broken;
      continue;
    }
    if (end_seen_) {
      if (!end_passed_ && ::shutdown(to, SHUT_WR) != 0 && errno != ENOTCONN) return State::broken;
      end_passed_ = true;
      return State::ended;
    }
    if (!from_ready.readable) return State::waiting;
    if (taken_ >= budget) return State::paused;
    const auto step = bulk_ ? splice_in(from, from_ready, budget - taken_, pipes)
                            : copy_in_and_out(from, from_ready, to, to_ready, budget - taken_);
    if (step == Step::broken) return State::broken;
  }
}

StreamPump::Step StreamPump::copy_in_and_out(int from, Readiness& from_ready, int to, Readiness& to_ready,
                                             std::uint64_t budget) {
  static std::array<char, kCopyBytes> buffer;  // one thread: used between two system calls only
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), budget);
  const ssize_t got = ::recv(from, buffer.data(), wanted, MSG_DONTWAIT);
  if (got < 0) {
    if (!would_block(errno)) return Step::broken;
    from_ready.readable = errno == EINTR;
    return Step::wait;
  }
  if (got == 0) {
    end_seen_ = true;
    return Step::go_on;
  }
  const auto count = static_cast<std::size_t>(got);
  taken_ += count;
  // Less than asked for means that the socket is empty; what comes later makes a new edge.
  if (count < wanted && !from_ready.hung_up) from_ready.readable = false;
  bulk_ = count == buffer.size();
  std::string_view rest(buffer.data(), count);
  if (to_ready.writable) {
    const ssize_t sent = ::send(to, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && !would_block(errno)) return Step::broken;
    const std::size_t out = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    moved_ += out;
    rest.remove_prefix(out);
    if (!rest.empty()) to_ready.writable = false;
  }
  rest_ = rest;
  return Step::go_on;
}

StreamPump::Step StreamPump::drain_rest(int to, Readiness& to_ready) {
  const ssize_t sent = ::send(to, rest_.data(), rest_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (!would_block(errno)) return Step::broken;
    if (errno == EAGAIN) to_ready.writable = false;
    return Step::wait;
  }
  moved_ += static_cast<std::uint64_t>(sent);
  rest_.erase(0, static_cast<std::size_t>(sent));
  if (rest_.empty()) rest_.shrink_to_fit();
  return Step::go_on;
}

StreamPump::Step StreamPump::splice_in(int from, Readiness& from_ready, std::uint64_t budget, PipePool& pipes) {
  if (!pipe_) {
    auto pipe = pipes.take();
    if (!pipe) return Step::broken;
    pipe_ = std::move(*pipe);
  }
  const auto wanted = std::min<std::uint64_t>(kSpliceBytes, budget);
  const ssize_t got = ::splice(from, nullptr, pipe_.write.get(), nullptr, wanted, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got < 0) {
    if (!would_block(errno)) return Step::broken;
    if (errno == EINTR) return Step::go_on;
    from_ready.readable = false;
    bulk_ = false;
    pipes.give_back(std::move(pipe_));
    pipe_ = {};
    return Step::wait;
  }
  if (got == 0) {
    end_seen_ = true;
    pipes.give_back(std::move(pipe_));
    pipe_ = {};
    return Step::go_on;
  }
  in_pipe_ = static_cast<std::uint32_t>(got);
  taken_ += in_pipe_;
  return Step::go_on;
}

StreamPump::Step StreamPump::drain_pipe(int to, Readiness& to_ready, PipePool& pipes) {
  const ssize_t out = ::splice(pipe_.read.get(), nullptr, to, nullptr, in_pipe_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (out < 0) {
    if (!would_block(errno)) return Step::broken;
    if (errno == EAGAIN) to_ready.writable = false;
    return Step::wait;
  }
  moved_ += static_cast<std::uint64_t>(out);
  in_pipe_ -= static_cast<std::uint32_t>(out);
  if (in_pipe_ == 0 && !bulk_) {
    pipes.give_back(std::move(pipe_));
    pipe_ = {};
  }
  return Step::go_on;
}

}  // namespace cofferdam::gate

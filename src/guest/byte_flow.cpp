#include "guest/byte_flow.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "guest/stream_table.h"

namespace cofferdam::guest {
namespace {

using wire::Channel;

constexpr int kFramesPerTurn = 4;
// Returned in steps, so that small writes do not cost a frame each.
constexpr std::uint32_t kCreditStep = 32U << 10;

// The agent has one thread: one buffer does for all.
std::array<char, wire::kMaxDataBytes>& buffer() {
  static std::array<char, wire::kMaxDataBytes> bytes;
  return bytes;
}

}  // namespace

void Outflow::open(UniqueFd fd) {
  fd_ = std::move(fd);
  pump();
}

void Outflow::add_credit(std::uint32_t bytes) {
  credit_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{credit_} + bytes, wire::kMaxCredit));
  pump();
}

void Outflow::pump() {
  auto& queue = link_.queue();
  for (int frames = 0; frames < kFramesPerTurn && fd_; ++frames) {
    if (credit_ == 0 || !has_room(queue, stream_)) {
      unwatch();
      return link_.flush();
    }
    const std::size_t want = std::min<std::size_t>(credit_, buffer().size());
    const ssize_t n = ::read(fd_.get(), buffer().data(), want);
    if (n > 0) {
      credit_ -= static_cast<std::uint32_t>(n);
      queue.push_data(stream_, Channel::Stdout, {buffer().data(), static_cast<std::size_t>(n)});
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n == 0) queue.push_eof(stream_, Channel::Stdout);
    if (n < 0) queue.push_exit(stream_, {.value = errno});
    close();
  }
  if (fd_ && !watched_) {
    watched_ = true;
    loop_.watch(fd_.get(), EPOLLIN, [this](std::uint32_t) { pump(); });
  }
  link_.flush();
}

void Outflow::unwatch() {
  // Not merely without EPOLLIN: a hang-up would still be reported, over and over.
  if (watched_) loop_.forget(fd_.get());
  watched_ = false;
}

void Outflow::close() {
  unwatch();
  fd_.reset();
}

Inflow::~Inflow() {
  forget();
  if (announcement_) loop_.cancel(*announcement_);
}

void Inflow::open(UniqueFd fd) {
  fd_ = std::move(fd);
  unused_credit_ = kCredit;
}

void Inflow::on_data(std::string_view bytes) {
  if (!fd_ || end_asked_) return;
  // More than was granted is a host that breaks the protocol: the surplus is not kept.
  bytes = bytes.substr(0, unused_credit_);
  unused_credit_ -= static_cast<std::uint32_t>(bytes.size());
  waiting_.erase(0, std::exchange(written_, 0));
  waiting_.append(bytes);
  write();
}

void Inflow::on_eof() {
  if (!fd_ || end_asked_) return;
  end_asked_ = true;
  write();
}

void Inflow::write() {
  while (written_ < waiting_.size()) {
    const std::string_view rest = std::string_view(waiting_).substr(written_);
    const ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      loop_.watch(fd_.get(), EPOLLOUT, [this](std::uint32_t) { write(); });
      return;
    }
    if (n < 0) {
      link_.queue().push_eof(stream_, Channel::Stdin);
      link_.flush();
      return end();
    }
    written_ += static_cast<std::size_t>(n);
    grant(static_cast<std::uint32_t>(n));
  }
  loop_.forget(fd_.get());
  waiting_.clear();
  written_ = 0;
  grant(0);
  if (end_asked_) end();
}

void Inflow::end() {
  ::shutdown(fd_.get(), SHUT_WR);
  forget();
  // Not at once: whoever hears of it may want to delete this.
  announcement_ = loop_.after(std::chrono::milliseconds(0), std::exchange(ended_, nullptr));
}

void Inflow::forget() {
  if (!fd_) return;
  loop_.forget(fd_.get());
  fd_.reset();
  waiting_ = {};
  written_ = 0;
}

// Credit that was used and is free again; given back in steps, and whole when nothing waits.
void Inflow::grant(std::uint32_t bytes) {
  owed_credit_ += bytes;
  if (owed_credit_ == 0 || (owed_credit_ < kCreditStep && !waiting_.empty())) return;
  unused_credit_ += owed_credit_;
  link_.queue().push_credit(stream_, {Channel::Stdin, std::exchange(owed_credit_, 0)});
  link_.flush();
}

}  // namespace cofferdam::guest

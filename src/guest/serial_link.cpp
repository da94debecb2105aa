#include "guest/serial_link.h"

#include <sys/epoll.h>

#include <cerrno>
#include <utility>

#include "base/log.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;
// A turn of the loop reads so many pieces, then lets processes and timers have theirs.
constexpr int kReadsPerTurn = 4;

}  // namespace

SerialLink::SerialLink(Loop& loop, UniqueFd fd, Kind kind, std::uint64_t features, Handlers handlers)
    : loop_(loop), fd_(std::move(fd)), kind_(kind), features_(features), handlers_(std::move(handlers)) {
  buffer_.resize(kReadBytes);
}

SerialLink::~SerialLink() { loop_.forget(fd_.get()); }

void SerialLink::start() {
  // Edge-triggered: a port without a host reports a hang-up for as long as that lasts.
  loop_.watch(fd_.get(), EPOLLIN | EPOLLOUT | EPOLLET, [this](std::uint32_t) { on_ready(); });
}

void SerialLink::on_ready() {
  flush();
  for (int i = 0; i < kReadsPerTurn; ++i) {
    switch (read_some()) {
      case ReadState::drained:
        return;
      case ReadState::paused:
        read_paused_ = true;
        return;
      case ReadState::more:
        break;
    }
  }
  loop_.after(std::chrono::milliseconds(0), [this] { on_ready(); });
}

SerialLink::ReadState SerialLink::read_some() {
  // Full means a host that asks and does not listen: let it wait.
  if (queue_.full()) return ReadState::paused;
  const ssize_t n = ::read(fd_.get(), buffer_.data(), buffer_.size());
  if (n < 0) return errno == EINTR ? ReadState::more : ReadState::drained;
  if (n == 0) {
    // A new host's first bytes may be here before the kernel has heard that it is there: its greeting still stands.
    if (ack_pending_) return ReadState::drained;
    // What is written to a port without a host is lost.
    forget_host();
    if (kind_ == Kind::socket) {
      loop_.forget(fd_.get());
      handlers_.closed();
    }
    return ReadState::drained;
  }
  std::string_view input(buffer_.data(), static_cast<std::size_t>(n));
  while (const auto frame = parser_.next(input)) on_frame(*frame);
  return ReadState::more;
}

void SerialLink::on_frame(const wire::FrameView& frame) {
  if (frame.type == wire::FrameType::Hello) return on_hello(frame);
  if (!has_host_) return;
  if (frame.type != wire::FrameType::Request) return handlers_.stream_frame(frame);
  auto whole = assembler_.add(frame);
  if (!whole) {
    queue_.push_response(frame.stream, wire::refusal(whole.error()));
    return flush();
  }
  if (!*whole) return;
  auto request = wire::decode<wire::Request>(**whole);
  if (!request) {
    queue_.push_response(frame.stream, wire::refusal(request.error()));
    return flush();
  }
  handlers_.call(frame.stream, std::move(*request));
}

void SerialLink::on_hello(const wire::FrameView& frame) {
  const auto hello = wire::decode<wire::Hello>(frame.payload);
  if (!hello) return;
  forget_host();
  const wire::HelloAck ack{wire::kProtocolVersion, hello->nonce, features_, handlers_.boot_state()};
  queue_.push_handshake(wire::FrameType::HelloAck, wire::encode(ack));
  has_host_ = hello->version == wire::kProtocolVersion;
  ack_pending_ = true;
  if (!has_host_) log_error("the host speaks another protocol version", {{"theirs", std::to_string(hello->version)}});
  flush();
}

void SerialLink::forget_host() {
  has_host_ = false;
  assembler_.clear();
  queue_.restart();
  handlers_.host_changed();
}

void SerialLink::flush() {
  bool wrote = false;
  for (;;) {
    const std::string_view bytes = queue_.peek();
    if (bytes.empty()) break;
    const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    queue_.consume(static_cast<std::size_t>(n));
    ack_pending_ = false;
    wrote = true;
  }
  if (wrote) handlers_.writable();
  if (read_paused_ && !queue_.full()) {
    read_paused_ = false;
    loop_.after(std::chrono::milliseconds(0), [this] { on_ready(); });
  }
}

}  // namespace cofferdam::guest

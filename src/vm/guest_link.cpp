#include "vm/guest_link.h"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include "base/fd_passing.h"
#include "base/log.h"
#include "base/random.h"
#include "loop/deadline.h"

namespace cofferdam::vm {
namespace {

constexpr std::size_t kReadBytes = 64U << 10;
// A grant goes out when this much was taken, or when nothing is left to take.
constexpr std::uint64_t kGrantStep = wire::kInitialCredit / 4;

std::size_t index_of(wire::Channel channel) { return channel == wire::Channel::Stderr ? 1 : 0; }

}  // namespace

GuestLink::GuestLink(const loop::asio::any_io_executor& executor, loop::asio::local::stream_protocol::socket socket)
    : executor_(executor), socket_(std::move(socket)), tasks_(executor), to_send_(executor), greeted_(executor) {}

Task<std::unique_ptr<GuestLink>> GuestLink::connect(std::string path) {
  auto fd = connect_unix(path, SOCK_STREAM);
  if (!fd) co_return fail(std::move(fd.error()).in("guest link"));
  const auto executor = co_await loop::asio::this_coro::executor;
  loop::asio::local::stream_protocol::socket socket(executor, loop::asio::local::stream_protocol(), fd->release());
  std::unique_ptr<GuestLink> link(new GuestLink(executor, std::move(socket)));
  link->tasks_.spawn("guest link reader", link->read_loop());
  link->tasks_.spawn("guest link writer", link->write_loop());
  co_return link;
}

Task<void> GuestLink::greet(Reconnect reconnect, std::chrono::milliseconds deadline) {
  co_return co_await loop::with_deadline(shake_hands(reconnect), deadline, "handshake with the guest agent");
}

Task<void> GuestLink::shake_hands(Reconnect reconnect) {
  const auto random = random_bytes(nonce_.size());
  std::copy(random.begin(), random.end(), nonce_.begin());
  wire::Hello hello;
  hello.nonce = nonce_;
  queue_.push_handshake(wire::FrameType::Hello, wire::encode(hello),
                        reconnect == Reconnect::yes ? wire::kRestartFiller : 0);
  to_send_.notify();
  while (!ack_) {
    if (failure_) co_return fail(*failure_);
    CO_TRY(co_await greeted_.wait());
  }
  if (ack_->version != wire::kProtocolVersion) {
    co_return fail(Code::FailedPrecondition,
                   cat("the guest agent speaks version ", ack_->version, ", this daemon ", wire::kProtocolVersion));
  }
  boot_state_ = ack_->state;
  co_return Status{};
}

Task<void> GuestLink::stop() {
  fail_all(Error{Code::Unavailable, "the guest link was closed", {}});
  boost::system::error_code ignored;
  socket_.close(ignored);
  tasks_.cancel();
  to_send_.notify();
  co_return co_await tasks_.join();
}

std::uint32_t GuestLink::new_id() {
  // Zero belongs to the handshake; a number in use is skipped.
  do {
    next_id_ = next_id_ == UINT32_MAX ? 1 : next_id_ + 1;
  } while (next_id_ == 0 || calls_.contains(next_id_) || streams_.contains(next_id_));
  return next_id_;
}

Task<wire::Response> GuestLink::round_trip(wire::Op op, std::string body, std::chrono::milliseconds deadline) {
  const auto id = new_id();
  co_return co_await round_trip_on(id, op, std::move(body), deadline);
}

Task<wire::Response> GuestLink::round_trip_on(std::uint32_t id, wire::Op op, std::string body,
                                              std::chrono::milliseconds deadline) {
  if (failure_) co_return fail(*failure_);
  PendingCall pending(executor_);
  calls_[id] = &pending;
  // The entry must not outlive the frame of this coroutine, whichever way it ends.
  struct Forget {
    std::map<std::uint32_t, PendingCall*>& calls;
    std::uint32_t id;
    ~Forget() { calls.erase(id); }
  } forget{calls_, id};
  queue_.push_request(id, op, body);
  to_send_.notify();
  while (!pending.response) {
    auto waited = co_await loop::with_deadline(pending.answered.wait(), deadline,
                                               cat("guest agent, operation ", static_cast<int>(op)));
    if (!waited) co_return fail(std::move(waited.error()));
  }
  co_return std::move(*pending.response);
}

void GuestLink::post(wire::Op op, const std::string& body) {
  if (failure_) return;
  queue_.push_request(new_id(), op, body);
  to_send_.notify();
}

Task<GuestLink::Started> GuestLink::start_process(wire::ProcessStart start, std::chrono::milliseconds deadline) {
  Started started;
  started.stream = std::make_shared<ProcessStream>(executor_);
  auto& stream = *started.stream;
  stream.id = new_id();
  stream.granted[0] = start.stdout_credit;
  stream.granted[1] = start.stderr_credit;
  streams_[stream.id] = started.stream;
  auto response = co_await round_trip_on(stream.id, wire::Op::ProcessStart, wire::encode(start), deadline);
  if (!response) {
    // It may start yet: whatever it says is dropped, and it is killed.
    stream.abandoned = true;
    send_signal(stream.id, SIGKILL);
    co_return fail(std::move(response.error()));
  }
  auto answer = wire::result_of<wire::ProcessStarted>(*response);
  if (!answer || answer->failure != wire::StartFailure::None) streams_.erase(stream.id);
  if (!answer) co_return fail(std::move(answer.error()).in("start in the guest"));
  // Credit frames may have come before this coroutine ran again.
  stream.stdin_credit += answer->stdin_credit;
  started.answer = std::move(*answer);
  co_return started;
}

Task<GuestLink::Attached> GuestLink::attach(std::uint32_t stream_id, std::chrono::milliseconds deadline) {
  auto stream = std::make_shared<ProcessStream>(executor_);
  stream->id = stream_id;
  stream->granted[0] = wire::kInitialCredit;
  stream->granted[1] = wire::kInitialCredit;
  streams_[stream_id] = stream;
  wire::Attach attach;
  attach.stream = stream_id;
  auto answer = co_await call<wire::AttachResult>(wire::Op::Attach, attach, deadline);
  if (!answer) {
    streams_.erase(stream_id);
    co_return fail(std::move(answer.error()));
  }
  stream->stdin_credit += answer->stdin_credit;
  co_return Attached{std::move(stream), static_cast<std::uint32_t>(std::max(answer->pid, 0))};
}

std::shared_ptr<ProcessStream> GuestLink::new_stream() {
  auto stream = std::make_shared<ProcessStream>(executor_);
  stream->id = new_id();
  stream->granted[0] = wire::kInitialCredit;
  streams_[stream->id] = stream;
  return stream;
}

void GuestLink::close_stream(ProcessStream& stream) {
  if (failure_) return;
  streams_.erase(stream.id);
  queue_.push_exit(stream.id, {});
  to_send_.notify();
}

void GuestLink::send_data(std::uint32_t stream, std::string_view bytes) {
  queue_.push_data(stream, wire::Channel::Stdin, bytes);
  to_send_.notify();
}

void GuestLink::send_eof(std::uint32_t stream) {
  queue_.push_eof(stream, wire::Channel::Stdin);
  to_send_.notify();
}

void GuestLink::send_signal(std::uint32_t stream, int number) {
  if (failure_) return;
  wire::Signal signal;
  signal.number = number;
  queue_.push_signal(stream, signal);
  to_send_.notify();
}

void GuestLink::send_resize(std::uint32_t stream, std::uint16_t rows, std::uint16_t cols) {
  wire::Resize resize;
  resize.size = {rows, cols};
  queue_.push_resize(stream, resize);
  to_send_.notify();
}

void GuestLink::give_credit(ProcessStream& stream) {
  if (failure_ || stream.exit) return;
  for (const auto channel : {wire::Channel::Stdout, wire::Channel::Stderr}) {
    auto& taken = stream.consumed[index_of(channel)];
    if (taken == 0 || (taken < kGrantStep && !stream.output.empty())) continue;
    // A small remainder while the guest still has most of its window is not worth a frame.
    if (taken < kGrantStep && stream.granted[index_of(channel)] >= wire::kInitialCredit / 2) continue;
    wire::Credit credit;
    credit.channel = channel;
    credit.bytes = static_cast<std::uint32_t>(taken);
    stream.granted[index_of(channel)] += taken;
    taken = 0;
    queue_.push_credit(stream.id, credit);
    to_send_.notify();
  }
}

Task<void> GuestLink::read_loop() {
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    auto [ec, n] = co_await socket_.async_read_some(loop::asio::buffer(buffer), loop::as_result);
    if (ec) {
      fail_all(loop::asio_error("guest link", ec));
      co_return Status{};
    }
    std::string_view input(buffer.data(), n);
    while (auto frame = parser_.next(input)) {
      if (auto handled = handle(*frame); !handled) {
        fail_all(handled.error());
        co_return Status{};
      }
    }
    if (ack_ && !parser_.in_step()) {
      fail_all(Error{Code::DataLoss, "the guest agent broke the framing of its link", {}});
      co_return Status{};
    }
  }
}

Task<void> GuestLink::write_loop() {
  for (;;) {
    while (!queue_.empty()) {
      const auto piece = queue_.peek();
      // A copy: the queue may grow, and move its bytes, while the write waits.
      const std::string bytes(piece);
      auto [ec, n] = co_await loop::asio::async_write(socket_, loop::asio::buffer(bytes), loop::as_result);
      if (ec) {
        fail_all(loop::asio_error("guest link", ec));
        co_return Status{};
      }
      queue_.consume(n);
    }
    if (failure_) co_return Status{};
    CO_TRY(co_await to_send_.wait());
  }
}

Status GuestLink::handle(const wire::FrameView& frame) {
  if (frame.type == wire::FrameType::HelloAck) {
    TRY_ASSIGN(auto ack, wire::decode<wire::HelloAck>(frame.payload));
    if (ack.nonce != nonce_) {
      parser_.lose_step();  // meant for an earlier daemon; ours is still to come
      return {};
    }
    ack_ = ack;
    greeted_.notify();
    return {};
  }
  if (!ack_) return {};
  switch (frame.type) {
    case wire::FrameType::Response: {
      TRY_ASSIGN(auto whole, assembler_.add(frame));
      if (!whole) return {};
      const auto call = calls_.find(frame.stream);
      if (call == calls_.end()) return {};  // its caller gave up
      call->second->response = wire::decode<wire::Response>(*whole);
      call->second->answered.notify();
      return {};
    }
    case wire::FrameType::Data:
    case wire::FrameType::Eof:
    case wire::FrameType::Credit:
    case wire::FrameType::Exit:
      return handle_output(frame);
    default:
      return fail(Code::DataLoss, cat("the guest agent sent a frame of type ", static_cast<int>(frame.type)));
  }
}

Status GuestLink::handle_output(const wire::FrameView& frame) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) return {};
  const auto stream = found->second;
  switch (frame.type) {
    case wire::FrameType::Data: {
      TRY_ASSIGN(const auto data, wire::decode<wire::Data>(frame.payload));
      if (data.channel == wire::Channel::Stdin) return fail(Code::DataLoss, "the guest agent sent stdin");
      // Uses no credit, and so is bounded by nothing: it is not kept.
      if (data.bytes.empty()) return {};
      auto& granted = stream->granted[index_of(data.channel)];
      if (data.bytes.size() > granted) return fail(Code::DataLoss, "the guest agent sent more than it had credit for");
      granted -= data.bytes.size();
      if (stream->abandoned) {
        stream->consumed[index_of(data.channel)] += data.bytes.size();
        give_credit(*stream);
        return {};
      }
      stream->output.push_back(
          {data.channel == wire::Channel::Stderr ? Channel::stderr_ : Channel::stdout_, std::string(data.bytes)});
      stream->readable.notify();
      return {};
    }
    case wire::FrameType::Eof: {
      TRY_ASSIGN(const auto eof, wire::decode<wire::Eof>(frame.payload));
      if (eof.channel == wire::Channel::Stdin) {
        stream->stdin_closed = true;
        stream->stdin_room.notify();
      }
      if (eof.channel == wire::Channel::Stdout) {
        stream->stdout_closed = true;
        stream->readable.notify();
      }
      return {};
    }
    case wire::FrameType::Credit: {
      TRY_ASSIGN(const auto credit, wire::decode<wire::Credit>(frame.payload));
      if (credit.channel != wire::Channel::Stdin) return {};
      stream->stdin_credit = std::min<std::uint64_t>(stream->stdin_credit + credit.bytes, wire::kMaxCredit);
      stream->stdin_room.notify();
      return {};
    }
    default: {
      TRY_ASSIGN(stream->exit, wire::decode<wire::Exit>(frame.payload));
      stream->readable.notify();
      stream->stdin_room.notify();
      streams_.erase(found);
      return {};
    }
  }
}

void GuestLink::fail_all(const Error& error) {
  if (failure_) return;
  failure_ = Error{Code::Unavailable, error.message, "the workspace's machine has ended or was cut off"};
  for (auto& [id, call] : calls_) {
    if (!call->response) call->response = fail(*failure_);
    call->answered.notify();
  }
  for (auto& [id, stream] : streams_) {
    stream->failure = failure_;
    stream->readable.notify();
    stream->stdin_room.notify();
  }
  streams_.clear();
  greeted_.notify();
  if (on_failure_) std::exchange(on_failure_, nullptr)(*failure_);
}

}  // namespace cofferdam::vm

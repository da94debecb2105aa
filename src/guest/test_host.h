// A small blocking host for tests: runs the real coffer-guest over a socket pair and speaks the wire protocol to it.
#pragma once
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd_passing.h"
#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "wire/assembler.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/send_queue.h"

namespace cofferdam::guest {

// What a stream has brought so far.
struct StreamLog {
  std::string out;
  std::string err;
  std::vector<std::string> pieces;  // of out, a frame each
  bool out_ended = false;
  bool err_ended = false;
  bool stdin_refused = false;
  std::uint64_t stdin_credit = 0;
  std::optional<wire::Exit> exit;
  std::string order;  // one letter a frame: o, e, O and E for the ends, X for the exit
};

class TestHost {
 public:
  static constexpr auto kPatience = std::chrono::seconds(30);

  explicit TestHost(const std::string& program) {
    auto pair = *socket_pair(SOCK_STREAM);
    fd_ = std::move(pair.first);
    SpawnOptions options;
    options.argv = {program, "--serve-fd", "3"};
    options.env = {"PATH=/usr/bin:/bin"};
    options.fds = {{pair.second.get(), 3}, {2, 2}};
    agent_.emplace(*Process::spawn(options));
  }
  // Of an agent that somebody else runs, behind this socket.
  explicit TestHost(UniqueFd fd) : fd_(std::move(fd)) {}

  [[nodiscard]] pid_t agent_pid() const { return agent_->pid(); }
  int raw_fd() const { return fd_.get(); }
  wire::SendQueue& queue() { return queue_; }
  StreamLog& log(std::uint32_t stream) { return logs_[stream]; }
  std::uint32_t new_stream() { return next_stream_++; }

  // As a new host would: everything heard before is forgotten.
  bool connect() {
    parser_.lose_step();
    assembler_.clear();
    responses_.clear();
    logs_.clear();
    ack_.reset();
    queue_ = wire::SendQueue();
    wire::Hello hello;
    const std::string nonce = random_bytes(hello.nonce.size());
    std::copy(nonce.begin(), nonce.end(), hello.nonce.begin());
    queue_.push_handshake(wire::FrameType::Hello, wire::encode(hello), wire::kRestartFiller);
    return run_until([&] { return ack_ && ack_->nonce == hello.nonce; });
  }
  [[nodiscard]] const std::optional<wire::HelloAck>& ack() const { return ack_; }

  template <class Answer, class Message>
  Result<Answer> call(wire::Op op, const Message& message) {
    return call_on<Answer>(new_stream(), op, message);
  }
  template <class Answer, class Message>
  Result<Answer> call_on(std::uint32_t stream, wire::Op op, const Message& message) {
    queue_.push_request(stream, op, wire::encode(message));
    if (!run_until([&] { return responses_.contains(stream); })) {
      return fail(Code::DeadlineExceeded, "no answer from the agent");
    }
    const auto node = responses_.extract(stream);
    return wire::result_of<Answer>(node.mapped());
  }
  Result<wire::ProcessStarted> start(std::uint32_t stream, const wire::ProcessStart& request) {
    return call_on<wire::ProcessStarted>(stream, wire::Op::ProcessStart, request);
  }

  // Starts, grants what comes, waits for the exit.
  StreamLog run(wire::ProcessStart request, const std::string& input = {}) {
    const std::uint32_t stream = new_stream();
    if (!input.empty()) request.stdin_mode = wire::StdinMode::Open;
    auto started = start(stream, request);
    if (!started || started->failure != wire::StartFailure::None) return {};
    if (!input.empty()) {
      queue_.push_data(stream, wire::Channel::Stdin, input);
      queue_.push_eof(stream, wire::Channel::Stdin);
    }
    wait_exit(stream);
    return logs_[stream];
  }
  bool wait_exit(std::uint32_t stream) {
    return run_until([&] { return logs_[stream].exit.has_value(); });
  }

  void grant_automatically(bool yes) { grants_ = yes; }

  // Sends and receives until `done`; false when the patience is over.
  template <class Done>
  bool run_until(Done done, std::chrono::milliseconds patience = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      const std::string_view out = queue_.peek();
      pollfd state{fd_.get(), static_cast<short>(POLLIN | (out.empty() ? 0 : POLLOUT)), 0};
      ::poll(&state, 1, 20);
      if ((state.revents & POLLOUT) != 0) {
        const ssize_t n = ::send(fd_.get(), out.data(), out.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) queue_.consume(static_cast<std::size_t>(n));
      }
      if ((state.revents & (POLLIN | POLLHUP)) != 0 && !receive()) return done();
    }
    return true;
  }

 private:
  bool receive() {
    char buffer[65536];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n <= 0) return n < 0;
    std::string_view input(buffer, static_cast<std::size_t>(n));
    while (const auto frame = parser_.next(input)) on_frame(*frame);
    return true;
  }

  void on_frame(const wire::FrameView& frame) {
    StreamLog& log = logs_[frame.stream];
    switch (frame.type) {
      case wire::FrameType::HelloAck:
        ack_ = *wire::decode<wire::HelloAck>(frame.payload);
        break;
      case wire::FrameType::Response:
        if (const auto whole = *assembler_.add(frame)) responses_[frame.stream] = *wire::decode<wire::Response>(*whole);
        break;
      case wire::FrameType::Data: {
        const auto data = *wire::decode<wire::Data>(frame.payload);
        const bool err = data.channel == wire::Channel::Stderr;
        (err ? log.err : log.out) += data.bytes;
        if (!err) log.pieces.emplace_back(data.bytes);
        log.order += err ? 'e' : 'o';
        if (grants_) queue_.push_credit(frame.stream, {data.channel, static_cast<std::uint32_t>(data.bytes.size())});
        break;
      }
      case wire::FrameType::Eof: {
        const auto channel = wire::decode<wire::Eof>(frame.payload)->channel;
        if (channel == wire::Channel::Stdin) log.stdin_refused = true;
        if (channel == wire::Channel::Stdout) log.out_ended = true;
        if (channel == wire::Channel::Stderr) log.err_ended = true;
        log.order += "iOE"[static_cast<int>(channel)];
        break;
      }
      case wire::FrameType::Credit:
        log.stdin_credit += wire::decode<wire::Credit>(frame.payload)->bytes;
        break;
      case wire::FrameType::Exit:
        log.exit = *wire::decode<wire::Exit>(frame.payload);
        log.order += 'X';
        break;
      default:
        break;
    }
  }

  UniqueFd fd_;
  std::optional<Process> agent_;
  wire::FrameParser parser_;
  wire::Assembler assembler_;
  wire::SendQueue queue_;
  std::map<std::uint32_t, wire::Response> responses_;
  std::map<std::uint32_t, StreamLog> logs_;
  std::optional<wire::HelloAck> ack_;
  std::uint32_t next_stream_ = 1;
  bool grants_ = true;
};

}  // namespace cofferdam::guest

// The host's end of the conversation with one guest's agent: handshake, calls, and the streams of processes over one
// virtio-serial port. Everything that arrives is the guest's word: bounded, and a broken rule ends the link.
#pragma once
#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "loop/event.h"
#include "loop/task.h"
#include "loop/task_group.h"
#include "vm/machine.h"
#include "wire/assembler.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/send_queue.h"

namespace cofferdam::vm {

// What is known of one stream, of a process or another; shared by the link, which fills it, and the object that drains
// it.
struct ProcessStream {
  explicit ProcessStream(const loop::asio::any_io_executor& executor) : readable(executor), stdin_room(executor) {}
  std::uint32_t id = 0;
  std::deque<Output> output;
  std::uint64_t granted[2] = {0, 0};   // unused credit of stdout and stderr, as the guest sees it
  std::uint64_t consumed[2] = {0, 0};  // taken by the reader since the last grant
  std::uint64_t stdin_credit = 0;
  bool stdin_closed = false;
  bool stdout_closed = false;
  bool abandoned = false;  // nobody reads: output is dropped as it comes
  std::optional<wire::Exit> exit;
  std::optional<Error> failure;
  loop::Event readable;
  loop::Event stdin_room;
};

// The port's socket was used by an earlier daemon, which may have left half a frame in it.
enum class Reconnect { no, yes };

class GuestLink {
 public:
  // Connects to the VMM's socket at `path`; the guest need not run yet.
  static Task<std::unique_ptr<GuestLink>> connect(std::string path);
  // Must be stopped first.
  ~GuestLink() = default;
  // Shakes hands with the agent, once, before anything else. FailedPrecondition when it speaks another version.
  Task<void> greet(Reconnect reconnect, std::chrono::milliseconds deadline);
  // Ends all waits with Unavailable and closes the port. Idempotent.
  Task<void> stop();

  template <class Answer, class Message>
  Task<Answer> call(wire::Op op, Message message, std::chrono::milliseconds deadline) {
    auto body = wire::encode(message);
    auto response = co_await round_trip(op, std::move(body), deadline);
    if (!response) co_return fail(std::move(response.error()));
    co_return wire::result_of<Answer>(*response);
  }

  // Sends a call whose answer nobody waits for.
  void post(wire::Op op, const std::string& body);

  // Starts a process; its stream is filled until its Exit. A start that failed inside the guest is an answer.
  struct Started {
    std::shared_ptr<ProcessStream> stream;
    wire::ProcessStarted answer;
  };
  Task<Started> start_process(wire::ProcessStart start, std::chrono::milliseconds deadline);
  // Takes a process over that an earlier daemon started.
  struct Attached {
    std::shared_ptr<ProcessStream> stream;
    std::uint32_t pid = 0;
  };
  Task<Attached> attach(std::uint32_t stream_id, std::chrono::milliseconds deadline);

  // Opens a stream that is no process: wire::Op::Walk, WatchOpen or Dial, whose message grants kInitialCredit. The one
  // who gets it closes it.
  template <class Answer>
  struct Opened {
    std::shared_ptr<ProcessStream> stream;
    Answer answer;
  };
  template <class Answer, class Message>
  Task<Opened<Answer>> open_stream(wire::Op op, Message message, std::chrono::milliseconds deadline) {
    auto stream = new_stream();
    auto body = wire::encode(message);
    auto response = co_await round_trip_on(stream->id, op, std::move(body), deadline);
    // Also what did not open in time may open yet.
    if (!response) close_stream(*stream);
    if (!response) co_return fail(std::move(response.error()));
    auto answer = wire::result_of<Answer>(*response);
    if (!answer) close_stream(*stream);
    if (!answer) co_return fail(std::move(answer.error()));
    co_return Opened<Answer>{std::move(stream), std::move(*answer)};
  }
  // Behind all that was sent on it. What still comes is dropped.
  void close_stream(ProcessStream& stream);

  void send_data(std::uint32_t stream, std::string_view bytes);  // at most wire::kMaxDataBytes, within the credit
  void send_eof(std::uint32_t stream);
  void send_signal(std::uint32_t stream, int number);
  void send_resize(std::uint32_t stream, std::uint16_t rows, std::uint16_t cols);
  // Gives the guest back what the reader took, once it is worth a frame.
  void give_credit(ProcessStream& stream);

  [[nodiscard]] bool alive() const { return !failure_; }
  [[nodiscard]] wire::BootState boot_state() const { return boot_state_; }
  // Called once, when the link has ended by itself.
  void on_failure(std::function<void(const Error&)> callback) { on_failure_ = std::move(callback); }

 private:
  struct PendingCall {
    explicit PendingCall(const loop::asio::any_io_executor& executor) : answered(executor) {}
    loop::Event answered;
    std::optional<Result<wire::Response>> response;
  };

  GuestLink(const loop::asio::any_io_executor& executor, loop::asio::local::stream_protocol::socket socket);
  Task<void> shake_hands(Reconnect reconnect);
  Task<wire::Response> round_trip(wire::Op op, std::string body, std::chrono::milliseconds deadline);
  Task<wire::Response> round_trip_on(std::uint32_t id, wire::Op op, std::string body,
                                     std::chrono::milliseconds deadline);
  Task<void> read_loop();
  Task<void> write_loop();
  Status handle(const wire::FrameView& frame);
  Status handle_output(const wire::FrameView& frame);
  void fail_all(const Error& error);
  std::uint32_t new_id();
  std::shared_ptr<ProcessStream> new_stream();

  loop::asio::any_io_executor executor_;
  loop::asio::local::stream_protocol::socket socket_;
  loop::TaskGroup tasks_;
  wire::FrameParser parser_;
  wire::Assembler assembler_;
  wire::SendQueue queue_;
  loop::Event to_send_;
  loop::Event greeted_;
  wire::Nonce nonce_{};
  std::optional<wire::HelloAck> ack_;
  wire::BootState boot_state_ = wire::BootState::Booted;
  std::uint32_t next_id_ = 1;
  std::map<std::uint32_t, PendingCall*> calls_;
  std::map<std::uint32_t, std::shared_ptr<ProcessStream>> streams_;
  std::optional<Error> failure_;
  std::function<void(const Error&)> on_failure_;
};

}  // namespace cofferdam::vm

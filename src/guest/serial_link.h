// The agent's end of the guest link: handshake, calls in, frames out. The descriptor is a virtio-serial port, whose
// other end may go away and come back with a new host, or a stream socket in tests.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "guest/loop.h"
#include "wire/assembler.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/send_queue.h"

namespace cofferdam::guest {

class SerialLink {
 public:
  // A function reference lives as long as the link. None is called before start().
  struct Handlers {
    std::function<wire::BootState()> boot_state;
    std::function<void(std::uint32_t stream, wire::Request request)> call;
    std::function<void(const wire::FrameView& frame)> stream_frame;  // Data, Eof, Credit, Signal, Resize
    std::function<void()> host_changed;                              // gone, or a new one: everything open is void
    std::function<void()> writable;                                  // the queue got shorter; must not push or flush
    std::function<void()> closed;                                    // a socket's other end is gone for good
  };
  enum class Kind { port, socket };

  SerialLink(Loop& loop, UniqueFd fd, Kind kind, std::uint64_t features, Handlers handlers);
  ~SerialLink();
  SerialLink(const SerialLink&) = delete;
  SerialLink& operator=(const SerialLink&) = delete;

  void start();
  wire::SendQueue& queue() { return queue_; }
  // Writes what the port takes now; call it after pushing to the queue.
  void flush();
  // A host has said Hello and has not gone away since.
  [[nodiscard]] bool has_host() const { return has_host_; }

 private:
  void on_ready();
  enum class ReadState { drained, more, paused };
  ReadState read_some();
  void on_frame(const wire::FrameView& frame);
  void on_hello(const wire::FrameView& frame);
  void forget_host();

  Loop& loop_;
  UniqueFd fd_;
  Kind kind_;
  std::uint64_t features_;
  Handlers handlers_;
  wire::FrameParser parser_;
  wire::Assembler assembler_;
  wire::SendQueue queue_;
  std::string buffer_;
  bool has_host_ = false;
  bool ack_pending_ = false;  // a greeting was answered, and nothing of the answer is written yet
  bool read_paused_ = false;
};

}  // namespace cofferdam::guest

// A stream with a bounded read buffer and a deadline on every read and write.
#pragma once
#include <boost/asio/buffer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/transport.h"
#include "loop/task.h"

namespace cofferdam::http {

using loop::Task;

// One reader and one writer at a time, not both at once: the deadline is one.
class Stream {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Stream(Transport transport);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();  // with TLS the peer is told, if the socket takes that at once

  // The handshake of TLS; nothing at all without TLS. Unauthenticated: the server's certificate is not trusted;
  // Unavailable: the peer does not speak TLS as it should, or left.
  Task<void> handshake(Clock::time_point deadline, std::string_view what);

  // What was read and not consumed.
  [[nodiscard]] std::string_view buffered() const { return {buffer_.data() + begin_, end_ - begin_}; }
  void consume(std::size_t count);
  // Reads at most `max_bytes` more behind buffered(); 0 is the end of the stream. DeadlineExceeded names `what`.
  Task<std::size_t> fill(std::size_t max_bytes, Clock::time_point deadline, std::string_view what);
  // All of `head`, then all of `body`, then all of `tail`. The views must stay valid until it returns.
  Task<void> write(std::string_view head, std::string_view body, std::string_view tail, Clock::time_point deadline,
                   std::string_view what);
  // Returns when the peer has closed or lost the connection; an error only when cancelled. Bytes that it still sends
  // stay unread and hide an orderly close. Beside a read of the same stream it must not run; beside a write it may.
  Task<void> wait_until_gone();
  // Says that nothing more will be written.
  void shut_down_writing();
  // Every running and future call fails.
  void cut();
  [[nodiscard]] bool cut_off() const { return cut_; }
  // True when the peer has sent or closed something that was not read yet; never blocks.
  [[nodiscard]] bool readable() { return look() != Seen::nothing; }
  // For another owner; this object is then of no more use.
  Transport release();

 private:
  // Cancels the socket's operations at the deadline. Moving the deadline later, which every request does several
  // times, costs no timer operation: the timer looks again when it fires.
  struct Watchdog;
  using Seen = Transport::Seen;
  [[nodiscard]] Seen look() { return begin_ < end_ ? Seen::bytes : transport_.look(); }
  // The error of a failed call, with what TLS has to say about it.
  Error explained(std::string_view what, const boost::system::error_code& ec);
  void begin(Clock::time_point deadline);
  // True when the deadline has passed.
  bool finish();

  Transport transport_;
  std::shared_ptr<Watchdog> watchdog_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  bool cut_ = false;
};

}  // namespace cofferdam::http

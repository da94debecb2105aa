// Pieces of a streamed answer, pushed by any number of producers and pulled by the connection. Bounded: producers wait
// for a slow reader, and learn when it has gone.
#pragma once
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "http/message.h"
#include "loop/event.h"

namespace cofferdam::http {

struct EventPipeOptions {
  std::size_t max_bytes = 256U << 10;  // held at once; one piece that is larger passes alone
  // Goes out when nothing else did for `interval`, so that no client or proxy takes the silence for a death. Empty:
  // nothing does. There is never more than one on its way.
  std::string heartbeat;
  std::chrono::milliseconds interval = std::chrono::seconds(15);
};

// Used on the loop's thread only. Whoever has called a task of it holds it until the task has ended.
class EventPipe {
 public:
  EventPipe(const loop::asio::any_io_executor& executor, EventPipeOptions options);
  EventPipe(const EventPipe&) = delete;
  EventPipe& operator=(const EventPipe&) = delete;

  // Waits while the pipe is full. Unavailable: the reader has gone; FailedPrecondition: the pipe was finished.
  Task<void> send(std::string piece);
  // Without waiting; false when the piece was not taken: full, finished, or no reader.
  bool offer(std::string piece);
  // Nothing more will come: the answer ends in order behind what was sent.
  void finish();
  // The answer cannot be ended in order: the reader sees it cut.
  void abort();
  [[nodiscard]] bool reader_gone() const { return reader_gone_; }
  // Returns when the reader has gone, which it also does when it has everything.
  Task<void> wait_until_reader_gone();

 private:
  friend class PipeSource;
  Task<std::string> next();
  void lose_reader();
  [[nodiscard]] bool has_room_for(const std::string& piece) const {
    return pieces_.empty() || held_ + piece.size() <= options_.max_bytes;
  }
  void put(std::string piece);

  EventPipeOptions options_;
  std::deque<std::string> pieces_;
  std::size_t held_ = 0;
  loop::asio::steady_timer wake_;  // of the reader
  loop::Event room_, gone_;
  enum class State { open, finished, aborted } state_ = State::open;
  bool reader_gone_ = false;
};

// The reading end, once for each pipe: when it is destroyed, the reader has gone.
std::unique_ptr<BodySource> pipe_source(std::shared_ptr<EventPipe> pipe);

}  // namespace cofferdam::http

// One direction of a relay: what comes in at one socket goes out at another, by copy as long as it is little, by
// splice(2) once it is much.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "gate/pipe_pool.h"

namespace cofferdam::gate {

// What a pump may still be asked to do, as epoll's edges tell.
struct Readiness {
  bool readable = false;
  bool writable = false;
  bool hung_up = false;  // the other side sends no more: read to the end, whatever a short read suggests
};

class StreamPump {
 public:
  enum class State : std::uint8_t {
    waiting,  // for an edge of `from` or `to`
    paused,   // the budget is used up; there may be more
    ended,    // the end was passed on
    broken,   // by either side
  };

  // Both sockets are non-blocking: splice(2) goes by the socket, whatever its flags say. Moves at most `budget` bytes
  // in. `from.readable` and `to.writable` are cleared when the kernel says so. At the end of the input the output is
  // shut down for writing.
  State pump(int from, Readiness& from_ready, int to, Readiness& to_ready, std::uint64_t budget, PipePool& pipes);

  // Bytes that come before everything else; nothing was pumped yet.
  void put_first(std::string bytes) { rest_ = std::move(bytes); }
  [[nodiscard]] bool holds_bytes() const { return in_pipe_ != 0 || !rest_.empty(); }
  [[nodiscard]] std::uint64_t moved() const { return moved_; }  // in all, and delivered
  [[nodiscard]] std::uint64_t taken() const { return taken_; }  // by the last pump()

 private:
  enum class Step : std::uint8_t { go_on, wait, broken };
  Step copy_in_and_out(int from, Readiness& from_ready, int to, Readiness& to_ready, std::uint64_t budget);
  Step splice_in(int from, Readiness& from_ready, std::uint64_t budget, PipePool& pipes);
  Step drain_pipe(int to, Readiness& to_ready, PipePool& pipes);
  Step drain_rest(int to, Readiness& to_ready);

  std::string rest_;  // read, and not yet taken by `to`
  Pipe pipe_;
  std::uint32_t in_pipe_ = 0;
  bool bulk_ = false;
  bool end_seen_ = false;
  bool end_passed_ = false;
  std::uint64_t moved_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace cofferdam::gate

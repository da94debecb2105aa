// What waits to be sent on a guest link, at either end. Small control frames (calls and their answers, signals,
// resizes, credits) go ahead of everything; Data, Eof, Exit and long calls queue by stream, in order within one and
// round-robin between them, so that a noisy stream delays neither a kill nor its neighbours.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wire/frame.h"
#include "wire/message.h"

namespace cofferdam::wire {

class SendQueue {
 public:
  // Calls whose message is longer than this take a stream's lane instead of the control lane.
  static constexpr std::size_t kShortCall = 4U << 10;

  // Over `max_bytes` the queue says full(); it never drops: whoever fills it must look, and stop reading its source.
  explicit SendQueue(std::size_t max_bytes = 4U << 20) : max_bytes_(max_bytes) {}

  // kSync and a Hello or HelloAck: goes before everything that was not begun yet.
  void push_handshake(FrameType type, std::string_view payload, std::size_t filler_bytes = 0);
  void push_request(std::uint32_t stream, Op op, std::string_view body);
  void push_response(std::uint32_t stream, const Response& response);
  void push_data(std::uint32_t stream, Channel channel, std::string_view bytes);  // at most kMaxDataBytes
  void push_eof(std::uint32_t stream, Channel channel);
  void push_exit(std::uint32_t stream, const Exit& exit);
  void push_credit(std::uint32_t stream, const Credit& credit);
  void push_signal(std::uint32_t stream, const Signal& signal);
  void push_resize(std::uint32_t stream, const Resize& resize);

  // The next bytes to write, in whole frames of up to 32 KiB together, or what is left of such a piece; empty when
  // there is nothing to send. Valid until the next call of anything but consume().
  std::string_view peek();
  void consume(std::size_t bytes);

  [[nodiscard]] bool empty() const { return queued_bytes_ == 0; }
  [[nodiscard]] bool full() const { return queued_bytes_ >= max_bytes_; }
  [[nodiscard]] std::size_t queued_bytes() const { return queued_bytes_; }
  // Bytes waiting in one stream's lane, half-sent pieces included.
  [[nodiscard]] std::size_t queued_bytes(std::uint32_t stream) const;
  // Of these, the bytes of Data on one channel: what has used up credit and was not sent.
  [[nodiscard]] std::size_t queued_data(std::uint32_t stream, Channel channel) const;

  // The other end was replaced: calls, answers, credits and half-sent bytes are forgotten. Data, Eof and Exit are kept
  // whole, those half sent included, and every stream with such frames is held until release().
  void restart();
  void release(std::uint32_t stream);
  // Forgets what waits on a stream, except what was begun; that does not survive a restart any more.
  void drop(std::uint32_t stream);

 private:
  struct Item {
    std::uint32_t stream;
    bool survives_restart;
    bool in_lane;
    std::string bytes;
  };
  struct Lane {
    std::deque<Item> items;
    std::size_t bytes = 0;
    bool held = false;
    bool in_turn = false;
  };

  void push_control(FrameType type, std::uint32_t stream, std::string_view payload);
  void push_lane(Item item);
  void push_message(FrameType type, std::uint32_t stream, std::string_view message);
  void refill();
  bool take_next(std::size_t room);
  [[nodiscard]] std::string_view piece() const;
  void forget_piece();

  std::size_t max_bytes_;
  std::size_t queued_bytes_ = 0;
  std::deque<Item> control_;
  std::map<std::uint32_t, Lane> lanes_;
  std::deque<std::uint32_t> turns_;  // streams with something to send that are not held
  std::vector<Item> begun_;          // the frames that make up the piece under way
  std::string joined_;               // the piece, when it is more than one frame
  std::size_t sent_ = 0;             // of the piece
};

}  // namespace cofferdam::wire

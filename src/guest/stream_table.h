// The streams of the link that are no processes, by number: watchers, connections, walks. They belong to the host that
// opened them and end with it.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "guest/loop.h"
#include "guest/serial_link.h"
#include "wire/message.h"

namespace cofferdam::guest {

enum class StreamKind { watch, dial, walk };

// Whether the link's queue takes more of a stream: what one, and all together, may have waiting there before their
// sources are left alone.
bool has_room(const wire::SendQueue& queue, std::uint32_t stream);

class Stream {
 public:
  Stream() = default;
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  virtual void on_credit(std::uint32_t bytes) = 0;
  virtual void on_data(std::string_view /*bytes*/) {}
  virtual void on_eof() {}
  // The link's queue got shorter: go on sending.
  virtual void pump() = 0;
  // The host is done with it. True: it can go now; false: it still has something to finish, and retires by itself.
  virtual bool close() { return true; }
};

class StreamTable {
 public:
  StreamTable(Loop& loop, SerialLink& link) : loop_(loop), link_(link) {}
  ~StreamTable();
  StreamTable(const StreamTable&) = delete;
  StreamTable& operator=(const StreamTable&) = delete;

  // Whether a stream of this kind can be opened with this number.
  [[nodiscard]] Status admit(std::uint32_t number, StreamKind kind) const;
  void add(std::uint32_t number, StreamKind kind, std::unique_ptr<Stream> stream);
  [[nodiscard]] bool contains(std::uint32_t number) const { return streams_.contains(number); }
  // Takes a stream out; it is deleted in the loop's next round, and so may call this from its own functions.
  void retire(std::uint32_t number);

  // False: no stream of this table has the frame's number.
  bool on_frame(const wire::FrameView& frame);
  void on_writable();
  // The host that read them is gone.
  void close_all();

 private:
  struct Member {
    StreamKind kind;
    std::unique_ptr<Stream> stream;
  };
  void close(std::uint32_t number, Stream& stream);

  Loop& loop_;
  SerialLink& link_;
  std::map<std::uint32_t, Member> streams_;
  std::vector<std::unique_ptr<Stream>> retired_;
  std::optional<Loop::TimerId> burial_;
  std::optional<Loop::TimerId> pump_;
  std::uint32_t last_pumped_ = 0;
};

}  // namespace cofferdam::guest

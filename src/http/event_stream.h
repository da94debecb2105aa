// A stream of events as the body of an answer: lines of JSON (NDJSON), pushed by one side and pulled by the connection.
#pragma once
#include <cstddef>
#include <deque>
#include <memory>
#include <string>

#include "http/message.h"
#include "loop/event.h"

namespace cofferdam::http {

inline constexpr std::string_view kNdjson = "application/x-ndjson";

// Used on the loop's thread only. Bounded: when the reader is slow, the oldest of the lines that may be dropped go, and
// the line that ends the stream always arrives.
class EventQueue {
 public:
  EventQueue(const loop::asio::any_io_executor& executor, std::size_t max_lines);
  // `line` without its line end.
  void push(std::string line);
  // The last line; what is pushed afterwards is ignored.
  void finish(std::string line);
  // The lines that came since the last call, each with its line end; empty at the end of the stream.
  Task<std::string> next();

 private:
  std::size_t max_lines_;
  std::deque<std::string> lines_;
  loop::Event changed_;
  bool finished_ = false;
};

// The reading end. The queue lives on while either side holds it.
std::unique_ptr<BodySource> event_source(std::shared_ptr<EventQueue> queue);

}  // namespace cofferdam::http

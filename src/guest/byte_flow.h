// The two halves of a stream of bytes between the link and a descriptor: each moves only within credit, and holds back
// whoever is faster.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "guest/loop.h"
#include "guest/serial_link.h"

namespace cofferdam::guest {

// From a descriptor to the host, as stdout. The end of the descriptor becomes an Eof, an error of it an Exit with the
// errno.
class Outflow {
 public:
  Outflow(Loop& loop, SerialLink& link, std::uint32_t stream, std::uint32_t credit)
      : loop_(loop), link_(link), stream_(stream), credit_(credit) {}
  ~Outflow() { close(); }
  Outflow(const Outflow&) = delete;
  Outflow& operator=(const Outflow&) = delete;

  void open(UniqueFd fd);  // non-blocking
  void add_credit(std::uint32_t bytes);
  void pump();
  void close();

 private:
  void unwatch();

  Loop& loop_;
  SerialLink& link_;
  const std::uint32_t stream_;
  std::uint32_t credit_;
  UniqueFd fd_;
  bool watched_ = false;
};

// From the host's stdin to a socket. When the host's end is written, or nobody reads any more, the socket's writing
// side is shut down.
class Inflow {
 public:
  // What a reader that stalls makes the agent hold: small, for there may be many.
  static constexpr std::uint32_t kCredit = 64U << 10;

  // `ended` is called once, when all is written or lost; not from inside a call of on_data() or on_eof().
  Inflow(Loop& loop, SerialLink& link, std::uint32_t stream, std::function<void()> ended)
      : loop_(loop), link_(link), stream_(stream), ended_(std::move(ended)) {}
  ~Inflow();
  Inflow(const Inflow&) = delete;
  Inflow& operator=(const Inflow&) = delete;

  void open(UniqueFd fd);  // non-blocking; the host has kCredit from here on
  void on_data(std::string_view bytes);
  void on_eof();
  [[nodiscard]] bool ended() const { return !fd_; }

 private:
  void write();
  void end();
  void forget();
  void grant(std::uint32_t bytes);

  Loop& loop_;
  SerialLink& link_;
  const std::uint32_t stream_;
  std::function<void()> ended_;
  UniqueFd fd_;
  std::string waiting_;
  std::size_t written_ = 0;  // of `waiting_`
  std::uint32_t unused_credit_ = 0;
  std::uint32_t owed_credit_ = 0;
  bool end_asked_ = false;
  std::optional<Loop::TimerId> announcement_;
};

}  // namespace cofferdam::guest

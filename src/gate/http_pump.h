// The guest's direction of an HTTP connection: nothing is sent on before its request was looked at.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "gate/http_head.h"
#include "gate/stream_pump.h"

namespace cofferdam::gate {

class HttpPump {
 public:
  using State = StreamPump::State;

  HttpPump(std::string name, std::uint16_t port, Upgrade upgrade) : requests_(std::move(name), port, upgrade) {}

  // Bytes that were read already. What is refused is in refused().
  void put(std::string_view bytes);
  // As StreamPump::pump(); `broken` also when a request is refused.
  State pump(int from, Readiness& from_ready, int to, Readiness& to_ready, std::uint64_t budget);

  [[nodiscard]] FlowReason refused() const { return refused_; }
  [[nodiscard]] bool may_send() const { return passable_ != 0; }
  // A head has begun and is not whole.
  [[nodiscard]] bool in_head() const { return requests_.in_head() && pending_.size() > passable_; }
  [[nodiscard]] const std::string& last_host() const { return requests_.last_host(); }
  [[nodiscard]] std::uint64_t moved() const { return moved_; }
  [[nodiscard]] std::uint64_t taken() const { return taken_; }
  void set_upgrade(Upgrade upgrade) { requests_.set_upgrade(upgrade); }

  // A request to upgrade went out, and everything behind it waits for the answer.
  [[nodiscard]] bool waits_for_answer() const { return requests_.waits_for_answer() && passable_ == 0; }
  void not_upgraded();
  // What waited, for whoever relays it from now on.
  std::string take_pending() { return std::move(pending_); }

 private:
  void scan();
  State send_passable(int to, Readiness& to_ready);

  HttpRequests requests_;
  std::string pending_;       // read, not sent on
  std::size_t passable_ = 0;  // so much of it may be
  FlowReason refused_ = FlowReason::none;
  bool end_seen_ = false;
  bool end_passed_ = false;
  std::uint64_t moved_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace cofferdam::gate

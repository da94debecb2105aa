// Records on their way to cofferd: bounded, and what did not fit is counted.
#pragma once
#include <deque>
#include <string>
#include <unordered_map>

#include "gate/control.h"
#include "gate/event_loop.h"

namespace cofferdam::gate {

class FlowLog {
 public:
  // The texts are made printable here: they come from guests.
  void add(FlowRecord record, Clock::time_point now);
  void omit(const std::string& workspace) { ++omitted_[workspace]; }
  [[nodiscard]] bool empty() const { return records_.empty() && omitted_.empty(); }
  // Worth a packet: many, or some that have waited.
  [[nodiscard]] bool due(Clock::time_point now) const;
  // The oldest that fit one packet.
  FlowBatch take();
  // Could not be sent.
  void put_back(FlowBatch batch);

 private:
  std::deque<FlowRecord> records_;
  std::unordered_map<std::string, std::uint64_t> omitted_;
  Clock::time_point oldest_;
};

}  // namespace cofferdam::gate

// Changes that were seen and not yet told: each once, by its last time, within bounds.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "wire/message.h"

namespace cofferdam::guest {

class ChangeQueue {
 public:
  static constexpr std::size_t kMaxChanges = 2048;
  static constexpr std::size_t kMaxPathBytes = 256U << 10;

  // Over a bound the change is lost, and that is told.
  void add(std::string path, wire::WatchOp op);
  // None is nothing.
  void lose(wire::WatchLoss loss);
  [[nodiscard]] bool empty() const { return order_.empty() && !lost_events_ && !lost_folders_; }

  // Takes what fits into `max_bytes`, as an encoded WatchEvents; nothing when not even the first change does.
  std::optional<std::string> take(std::size_t max_bytes);

 private:
  using Change = std::pair<std::string, wire::WatchOp>;
  using Changes = std::map<Change, std::uint64_t>;

  Changes changes_;  // with their places in order_
  std::map<std::uint64_t, Changes::const_iterator> order_;
  std::uint64_t next_ = 0;
  std::size_t path_bytes_ = 0;
  bool lost_events_ = false;
  bool lost_folders_ = false;
};

}  // namespace cofferdam::guest

#include "guest/change_queue.h"

namespace cofferdam::guest {
namespace {

// Of an encoded WatchEvents, and of each of its events beside the path.
constexpr std::size_t kFrameBytes = 5;
constexpr std::size_t kEventBytes = 5;

}  // namespace

void ChangeQueue::add(std::string path, wire::WatchOp op) {
  if (path.size() > wire::kMaxPath) return lose(wire::WatchLoss::Events);
  const std::size_t size = path.size();
  const auto known = changes_.find({path, op});
  if (known != changes_.end()) {
    // To the end: made, removed and made again must not read as removed.
    order_.erase(known->second);
    known->second = next_;
    order_.emplace(next_++, known);
    return;
  }
  if (changes_.size() >= kMaxChanges || path_bytes_ + size > kMaxPathBytes) return lose(wire::WatchLoss::Events);
  path_bytes_ += size;
  const auto added = changes_.emplace(Change{std::move(path), op}, next_).first;
  order_.emplace(next_++, added);
}

void ChangeQueue::lose(wire::WatchLoss loss) {
  lost_events_ = lost_events_ || loss == wire::WatchLoss::Events;
  lost_folders_ = lost_folders_ || loss == wire::WatchLoss::Folders;
}

std::optional<std::string> ChangeQueue::take(std::size_t max_bytes) {
  wire::WatchEvents batch;
  std::size_t bytes = kFrameBytes;
  while (!order_.empty() && batch.events.size() < wire::kMaxPage) {
    const auto change = order_.begin()->second;
    const std::string& path = change->first.first;
    if (bytes + kEventBytes + path.size() > max_bytes) break;
    bytes += kEventBytes + path.size();
    path_bytes_ -= path.size();
    batch.events.push_back({path, change->first.second});
    order_.erase(order_.begin());
    changes_.erase(change);
  }
  if (order_.empty() && bytes <= max_bytes) {
    if (lost_events_) {
      batch.loss = wire::WatchLoss::Events;
      lost_events_ = false;
    } else if (lost_folders_) {
      batch.loss = wire::WatchLoss::Folders;
      lost_folders_ = false;
    }
  }
  if (batch.events.empty() && batch.loss == wire::WatchLoss::None) return std::nullopt;
  return wire::encode(batch);
}

}  // namespace cofferdam::guest

#include "gate/flow_log.h"

#include <algorithm>

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxWaiting = 8192;
constexpr std::chrono::milliseconds kPatience{20};

void make_printable(std::string& text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
}

}  // namespace

void FlowLog::add(FlowRecord record, Clock::time_point now) {
  if (records_.size() >= kMaxWaiting) return omit(record.workspace);
  make_printable(record.name);
  make_printable(record.peer);
  if (records_.empty()) oldest_ = now;
  records_.push_back(std::move(record));
}

bool FlowLog::due(Clock::time_point now) const {
  return records_.size() >= kMaxRecordsPerBatch || (!records_.empty() && now - oldest_ >= kPatience) ||
         (records_.empty() && !omitted_.empty());
}

FlowBatch FlowLog::take() {
  FlowBatch batch;
  const auto count = std::min(records_.size(), kMaxRecordsPerBatch);
  const auto end = records_.begin() + static_cast<std::ptrdiff_t>(count);
  batch.records.assign(std::make_move_iterator(records_.begin()), std::make_move_iterator(end));
  records_.erase(records_.begin(), end);
  while (!omitted_.empty() && batch.omitted.size() < kMaxOmittedPerBatch) {
    const auto first = omitted_.begin();
    batch.omitted.push_back({first->first, first->second});
    omitted_.erase(first);
  }
  return batch;
}

void FlowLog::put_back(FlowBatch batch) {
  records_.insert(records_.begin(), std::make_move_iterator(batch.records.begin()),
                  std::make_move_iterator(batch.records.end()));
  for (const auto& omitted : batch.omitted) omitted_[omitted.workspace] += omitted.records;
}

}  // namespace cofferdam::gate

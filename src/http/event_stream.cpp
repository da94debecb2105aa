#include "http/event_stream.h"

namespace cofferdam::http {
namespace {

class QueueSource final : public BodySource {
 public:
  explicit QueueSource(std::shared_ptr<EventQueue> queue) : queue_(std::move(queue)) {}
  Task<std::string> next() override { return queue_->next(); }
  [[nodiscard]] bool may_wait() const override { return true; }

 private:
  std::shared_ptr<EventQueue> queue_;
};

}  // namespace

EventQueue::EventQueue(const loop::asio::any_io_executor& executor, std::size_t max_lines)
    : max_lines_(max_lines), changed_(executor) {}

void EventQueue::push(std::string line) {
  if (finished_) return;
  if (lines_.size() == max_lines_) lines_.pop_front();
  line.push_back('\n');
  lines_.push_back(std::move(line));
  changed_.notify();
}

void EventQueue::finish(std::string line) {
  if (finished_) return;
  push(std::move(line));
  finished_ = true;
}

Task<std::string> EventQueue::next() {
  while (lines_.empty() && !finished_) CO_TRY(co_await changed_.wait());
  std::string piece;
  for (auto& line : lines_) piece += line;
  lines_.clear();
  co_return piece;
}

std::unique_ptr<BodySource> event_source(std::shared_ptr<EventQueue> queue) {
  return std::make_unique<QueueSource>(std::move(queue));
}

}  // namespace cofferdam::http

#include "http/event_pipe.h"

namespace cofferdam::http {
namespace {

// What goes out at once.
constexpr std::size_t kMostBytes = 64U << 10;

}  // namespace

class PipeSource final : public BodySource {
 public:
  explicit PipeSource(std::shared_ptr<EventPipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeSource() override { pipe_->lose_reader(); }
  [[nodiscard]] bool may_wait() const override { return pipe_->pieces_.empty(); }
  Task<std::string> next() override { return pipe_->next(); }

 private:
  std::shared_ptr<EventPipe> pipe_;
};

EventPipe::EventPipe(const loop::asio::any_io_executor& executor, EventPipeOptions options)
    : options_(std::move(options)), wake_(executor), room_(executor), gone_(executor) {}

void EventPipe::put(std::string piece) {
  if (piece.empty()) return;
  held_ += piece.size();
  pieces_.push_back(std::move(piece));
  wake_.cancel();
}

Task<void> EventPipe::send(std::string piece) {
  while (state_ == State::open && !reader_gone_ && !has_room_for(piece)) CO_TRY(co_await room_.wait());
  // One wake-up reaches one producer, which passes it on.
  if (reader_gone_ || state_ != State::open) {
    room_.notify();
    if (reader_gone_) co_return fail(Code::Unavailable, "the reader of the stream has gone");
    co_return fail(Code::FailedPrecondition, "the stream has ended");
  }
  put(std::move(piece));
  if (held_ < options_.max_bytes) room_.notify();
  co_return Status{};
}

bool EventPipe::offer(std::string piece) {
  if (reader_gone_ || state_ != State::open || !has_room_for(piece)) return false;
  put(std::move(piece));
  return true;
}

void EventPipe::finish() {
  if (state_ != State::open) return;
  state_ = State::finished;
  room_.notify();
  wake_.cancel();
}

void EventPipe::abort() {
  if (state_ != State::open) return;
  state_ = State::aborted;
  room_.notify();
  wake_.cancel();
}

void EventPipe::lose_reader() {
  reader_gone_ = true;
  pieces_.clear();
  held_ = 0;
  room_.notify();
  gone_.notify();
}

Task<void> EventPipe::wait_until_reader_gone() {
  while (!reader_gone_) CO_TRY(co_await gone_.wait());
  gone_.notify();  // for whoever else waits
  co_return Status{};
}

Task<std::string> EventPipe::next() {
  for (;;) {
    if (!pieces_.empty()) {
      std::string joined = std::move(pieces_.front());
      pieces_.pop_front();
      while (!pieces_.empty() && joined.size() + pieces_.front().size() <= kMostBytes) {
        joined += pieces_.front();
        pieces_.pop_front();
      }
      held_ -= joined.size();
      room_.notify();
      co_return joined;
    }
    if (state_ == State::finished) co_return std::string{};
    if (state_ == State::aborted) co_return fail(Code::DataLoss, "the stream broke");
    if (options_.heartbeat.empty()) {
      wake_.expires_at(loop::asio::steady_timer::time_point::max());
    } else {
      wake_.expires_after(options_.interval);
    }
    auto [ec] = co_await wake_.async_wait(loop::as_result);
    const auto cancellation = co_await loop::asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != loop::asio::cancellation_type::none) {
      co_return fail(Code::Cancelled, "wait cancelled");
    }
    if (!ec) co_return options_.heartbeat;
  }
}

std::unique_ptr<BodySource> pipe_source(std::shared_ptr<EventPipe> pipe) {
  return std::make_unique<PipeSource>(std::move(pipe));
}

}  // namespace cofferdam::http

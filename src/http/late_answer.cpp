#include "http/late_answer.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <exception>
#include <optional>

#include "base/log.h"
#include "http/event_pipe.h"
#include "loop/deadline.h"

namespace cofferdam::http {
namespace {

EventPipeOptions pipe_options(std::chrono::milliseconds interval) {
  EventPipeOptions options;
  options.heartbeat = " ";
  options.interval = interval;
  return options;
}

// Held by the work and by the request that waits for it.
struct Late {
  Late(const loop::asio::any_io_executor& executor, LateAnswerOptions given)
      : options(std::move(given)), pipe(executor, pipe_options(options.interval)), done(executor) {}

  LateAnswerOptions options;
  EventPipe pipe;
  loop::Event done;
  std::optional<Result<Response>> result;
  bool late = false;  // the head has gone out
};

// However the work ends, even when it was never started: the reader does not wait for ever.
class Ending {
 public:
  explicit Ending(std::shared_ptr<Late> late) : late_(std::move(late)) {}
  Ending(Ending&&) noexcept = default;
  Ending& operator=(Ending&&) = delete;
  ~Ending() {
    if (!late_) return;
    late_->pipe.abort();
    late_->done.notify();
  }

 private:
  std::shared_ptr<Late> late_;
};

// An exception must not reach the operator ||, which would go on waiting for the other side.
Task<Response> without_exceptions(Task<Response> work) {
  std::string thrown;
  try {
    co_return co_await std::move(work);
  } catch (const std::exception& e) {
    thrown = e.what();
  }
  // Asio ends a cancelled task by an exception, which is no bug.
  const auto cancellation = co_await loop::asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != loop::asio::cancellation_type::none) {
    co_return fail(Code::Cancelled, "the work was cancelled");
  }
  log_error("the work of a late answer threw", {{"what", thrown}});
  co_return fail(Code::Internal, "the request failed for a reason that is a bug", "see the daemon's log");
}

Task<Response> run(std::shared_ptr<Late> late, Task<Response> work) {
  using loop::asio::experimental::awaitable_operators::operator||;
  auto guarded = without_exceptions(std::move(work));
  if (late->options.when_reader_goes == WhenReaderGoes::keep_working) co_return co_await std::move(guarded);
  auto first = co_await (std::move(guarded) || late->pipe.wait_until_reader_gone());
  if (first.index() == 0) co_return std::get<0>(std::move(first));
  co_return fail(Code::Cancelled, "the client has gone");
}

Task<void> work_on(std::shared_ptr<Late> late, Task<Response> work, Ending) {
  auto result = co_await run(late, std::move(work));
  if (!late->late) {
    late->result = std::move(result);
    co_return Status{};
  }
  std::string body;
  if (result) {
    body = std::move(result->body);
  } else if (late->options.late_error) {
    body = late->options.late_error(result.error());
  } else {
    co_return Status{};
  }
  if (co_await late->pipe.send(std::move(body))) late->pipe.finish();
  co_return Status{};
}

}  // namespace

Task<Response> answer_when_ready(loop::TaskGroup& tasks, std::string name, Task<Response> work,
                                 LateAnswerOptions options) {
  const auto grace = options.grace;
  auto late = std::make_shared<Late>(tasks.executor(), std::move(options));
  // Aliased: the pipe lives as long as the whole. Taken now, so that a cancelled request counts as a reader that went.
  auto source = pipe_source(std::shared_ptr<EventPipe>(late, &late->pipe));
  tasks.spawn(std::move(name), work_on(late, std::move(work), Ending(late)));
  const Status done = co_await loop::with_deadline(late->done.wait(), grace, "the answer");
  if (!done && done.error().code != Code::DeadlineExceeded) co_return fail(done.error());
  if (late->result) co_return std::move(*late->result);
  if (done) co_return fail(Code::Unavailable, "the daemon is stopping", "try again when it is back");
  late->late = true;
  Response response;
  response.headers.add("Content-Type", "application/json");
  response.headers.add("Cache-Control", "no-store");
  response.headers.add("X-Accel-Buffering", "no");
  response.source = std::move(source);
  co_return response;
}

}  // namespace cofferdam::http

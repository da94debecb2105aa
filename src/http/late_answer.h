// An answer in JSON that may take longer than a client waits for a silent server.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "http/message.h"
#include "loop/task_group.h"

namespace cofferdam::http {

enum class WhenReaderGoes { cancel, keep_working };

struct LateAnswerOptions {
  // An answer within it goes out as it is, with its own status.
  std::chrono::milliseconds grace = std::chrono::seconds(1);
  // After it: the head at once (200), then a blank each interval, which JSON allows in front, then the body.
  std::chrono::milliseconds interval = std::chrono::seconds(15);
  // Whether the work ends with the reader that waited for it. It is noticed once the grace is over.
  WhenReaderGoes when_reader_goes = WhenReaderGoes::cancel;
  // The body of an error that comes after 200 was said. Must be JSON, and say that it is no success.
  std::function<std::string(const Error& error)> late_error;
};

// The answer of `work`, which runs in `tasks` and gives a body, not a source. The work outlives the request: it holds
// no reference to it. Work that is cancelled from outside, or throws, is seen by the reader as a late error or a cut
// answer.
Task<Response> answer_when_ready(loop::TaskGroup& tasks, std::string name, Task<Response> work,
                                 LateAnswerOptions options);

}  // namespace cofferdam::http

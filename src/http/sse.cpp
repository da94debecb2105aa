#include "http/sse.h"

#include "base/text.h"

namespace cofferdam::http {

Result<std::string> sse_event(std::string_view name, std::string_view json) {
  constexpr std::string_view kLineEnds{"\r\n\0", 3};
  if (name.find_first_of(kLineEnds) != std::string_view::npos ||
      json.find_first_of(kLineEnds) != std::string_view::npos) {
    return fail(Code::InvalidArgument, "an event holds a line end");
  }
  if (name.empty()) return cat("data: ", json, "\n\n");
  return cat("event: ", name, "\ndata: ", json, "\n\n");
}

EventPipeOptions sse_options() {
  EventPipeOptions options;
  options.heartbeat = ": hb\n\n";
  return options;
}

Response sse_response(std::shared_ptr<EventPipe> pipe) {
  Response response;
  response.headers.add("Content-Type", std::string(kSse));
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("X-Accel-Buffering", "no");  // a proxy in front must pass each event on as it comes
  response.source = pipe_source(std::move(pipe));
  return response;
}

}  // namespace cofferdam::http

// Server-sent events: the text of one, and a stream of them as an answer.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "http/event_pipe.h"

namespace cofferdam::http {

inline constexpr std::string_view kSse = "text/event-stream";

// "event: <name>\ndata: <json>\n\n"; with an empty name only the data. InvalidArgument: a line end in either, which
// would begin another event; JSON that was made by a serializer has none.
Result<std::string> sse_event(std::string_view name, std::string_view json);

// A heart beat is the comment ": hb", which readers of events pass over.
EventPipeOptions sse_options();

// An answer that sends what comes through the pipe, made with sse_options(). Its head goes out at once.
Response sse_response(std::shared_ptr<EventPipe> pipe);

}  // namespace cofferdam::http

// Answers made of server-sent events, as the control plane sends them: lines of data, each one JSON object.
#pragma once
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/services.h"
#include "http/sse.h"

namespace cofferdam::api {

// Sends until it returns; it is cancelled when its reader goes, and holds what it uses itself.
using Producer = std::function<Task<void>(std::shared_ptr<http::EventPipe> pipe)>;

// An error of `produce` is the last event.
http::Response stream_events(Services& services, std::string name, Producer produce);
Task<void> send_event(http::EventPipe& pipe, boost::json::object event);

}  // namespace cofferdam::api

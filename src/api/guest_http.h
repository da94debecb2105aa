// Requests on to a server on a workspace's own loopback: streamed both ways, WebSockets as a tunnel.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"
#include "loop/task_group.h"
#include "vm/machine.h"

namespace cofferdam::api {

using loop::Task;

struct GuestTarget {
  std::shared_ptr<vm::Machine> machine;
  std::uint16_t port = 0;
  std::string target;                      // path and query, encoded
  std::string host;                        // what the server is told it is called
  std::vector<std::string_view> withheld;  // headers of the request that are not for it; lower case
  http::Headers added;
  // Once, when all is over: bytes from the server and to it.
  std::function<void(std::uint64_t received, std::uint64_t sent)> on_end;
};

// The server's answer. Unavailable: nobody listens, or what answers speaks no HTTP. `background` holds what reads the
// answer, and outlives it.
Task<http::Response> ask_guest(http::Request& request, GuestTarget target, loop::TaskGroup& background);

}  // namespace cofferdam::api

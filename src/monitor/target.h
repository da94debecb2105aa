// Where a webhook may go.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/endpoint.h"

namespace cofferdam::monitor {

// Addresses inside a network are for its own people: who may name a URL must not reach them through this host.
enum class Reach { public_only, private_too };

struct Target {
  http::Endpoint endpoint;
  std::string path;  // with its query: "/hooks?x=1"
};

// "http://host[:port]/path?query" or https. InvalidArgument: another scheme, a user, a fragment, a control character,
// or more than 2048 bytes.
Result<Target> parse_target(std::string_view url);

// PermissionDenied: an address that is not out in the world.
Status check_address(std::string_view address, Reach reach);

}  // namespace cofferdam::monitor

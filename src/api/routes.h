// The one table of routes, and finding a request's place in it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/handlers.h"

namespace cofferdam::api {

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/workspace/{id}": {…} matches one segment
  CallHandler handler;
};

std::span<const Route> routes();

struct Match {
  const Route* route = nullptr;     // null: no route
  std::vector<std::string> params;  // what {…} matched, in order
  std::string allowed;              // without a route: the methods this path knows, "GET, PUT"; empty: an unknown path
};
// The first route that fits; HEAD is served by GET.
Match find_route(std::string_view method, const std::vector<std::string>& segments);

}  // namespace cofferdam::api

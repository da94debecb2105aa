// The one table of routes, and finding a request's place in it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/handlers.h"

namespace cofferdam::api {

// What a route reaches, and so what the scope of its caller is held against.
enum class Reach {
  open,        // nothing: anybody may
  signed_in,   // what the handler finds out: it looks at the scope itself
  account,     // the host
  name_space,  // the namespace that is the first parameter
  workspace,   // the workspace that is the first parameter
};

struct Route {
  std::string_view method;
  std::string_view pattern;  // "/workspace/{id}": {…} matches one segment
  CallHandler handler;
  identity::Verb verb;
  Reach reach;
  std::string_view summary;     // for the document; of what is refused: why
  std::string_view query = {};  // "page,limit"
  std::string_view body = {};   // the schema of its body, see openapi.cpp; empty: none
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

// What there is to do so that an installation becomes what a file says: the fewest calls of the API, in an order that
// works, and what no call can do.
#pragma once
#include <string>
#include <vector>

#include "estate/estate.h"

namespace cofferdam::estate {

// One call of the control plane. Done twice it does no more than once, or is refused.
struct Action {
  std::string what;  // for people: "create the workspace 'db'"
  std::string method;
  std::vector<std::string> path;  // its segments, not encoded
  boost::json::object body;
};

struct Plan {
  std::vector<Action> actions;
  std::vector<std::string> by_hand;  // for people
};

// Workspaces and namespaces that the file does not name stay as they are; of those it names, links and exposed ports
// that it does not have are closed. `have` is what there is.
Plan make_plan(const Estate& have, const Estate& want);

}  // namespace cofferdam::estate

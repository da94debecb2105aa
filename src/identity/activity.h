// What was done to a namespace and in it: the newest 10,000 entries of each.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "identity/clock.h"
#include "store/connection.h"

namespace cofferdam::identity {

inline constexpr std::int64_t kActivityKept = 10'000;

// Who did it, as far as the request told; each at most 512 bytes are kept.
struct Actor {
  std::string user_id, ip_address, user_agent;
};

struct Activity {
  std::int64_t id = 0;  // counts within the namespace
  std::string namespace_id;
  std::string action;  // "namespace.updated"
  std::string description;
  boost::json::object changes;
  Actor actor;
  Time created_at;
};

struct ActivityPage {
  std::vector<Activity> items;  // newest first
  std::uint64_t total = 0;
};

// Both in the caller's transaction. `entry.id` is given here.
Status append_activity(store::Connection& c, const Activity& entry);
Result<ActivityPage> read_activity(store::Connection& c, const std::string& namespace_id, std::uint64_t limit,
                                   std::uint64_t offset);

}  // namespace cofferdam::identity

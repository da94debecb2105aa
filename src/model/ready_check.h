// A command that says whether a workspace is ready: asked at its create, and by drills.
#pragma once
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace cofferdam::model {

inline constexpr std::chrono::seconds kDefaultReadyLimit{60};
inline constexpr std::uint64_t kMaxReadySeconds = 240;  // a client waits five minutes for the head of an answer

// Run again and again until it ends with 0.
struct ReadyCheck {
  std::vector<std::string> command;
  std::chrono::milliseconds limit = kDefaultReadyLimit;  // whole seconds, 1 to kMaxReadySeconds
  bool operator==(const ReadyCheck&) const = default;
};

// InvalidArgument names the field, as "/command".
Status validate(const ReadyCheck& check);
// {command: [..], timeout_seconds}, as in the API.
boost::json::object ready_check_to_json(const ReadyCheck& check);

}  // namespace cofferdam::model

// The states of a workspace and the only legal steps between them.
#pragma once
#include <string_view>

namespace cofferdam::model {

// paused: its machine stands still, because somebody said so. suspended: the same until it is needed again.
enum class State { creating, running, paused, suspended, stopping, stopped, removing, failed };

std::string_view state_name(State state);  // as in the API: "running"
// Unknown names are `failed`.
State state_from_name(std::string_view name);
bool may_change(State from, State to);

}  // namespace cofferdam::model

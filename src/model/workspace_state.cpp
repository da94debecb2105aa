#include "model/workspace_state.h"

#include <array>
#include <utility>

namespace cofferdam::model {
namespace {

constexpr std::array<std::pair<State, std::string_view>, 8> kNames{{{State::creating, "creating"},
                                                                    {State::running, "running"},
                                                                    {State::paused, "paused"},
                                                                    {State::suspended, "suspended"},
                                                                    {State::stopping, "stopping"},
                                                                    {State::stopped, "stopped"},
                                                                    {State::removing, "removing"},
                                                                    {State::failed, "error"}}};

constexpr std::pair<State, State> kSteps[] = {
    {State::creating, State::running},  {State::creating, State::failed},    {State::creating, State::removing},
    {State::running, State::paused},    {State::running, State::suspended},  {State::running, State::stopping},
    {State::running, State::removing},  {State::running, State::stopped},  // the VMM ended by itself
    {State::paused, State::running},    {State::paused, State::suspended},   {State::paused, State::stopping},
    {State::paused, State::removing},   {State::paused, State::stopped},     {State::suspended, State::running},
    {State::suspended, State::paused},  {State::suspended, State::stopping}, {State::suspended, State::removing},
    {State::suspended, State::stopped}, {State::stopping, State::stopped},   {State::stopping, State::failed},
    {State::stopping, State::removing}, {State::stopped, State::creating},   {State::stopped, State::removing},
    {State::failed, State::creating},   {State::failed, State::removing},    {State::failed, State::stopping},
};

}  // namespace

std::string_view state_name(State state) {
  for (const auto& [value, name] : kNames) {
    if (value == state) return name;
  }
  return "error";
}

State state_from_name(std::string_view name) {
  for (const auto& [value, text] : kNames) {
    if (text == name) return value;
  }
  return State::failed;
}

bool may_change(State from, State to) {
  for (const auto& [a, b] : kSteps) {
    if (a == from && b == to) return true;
  }
  return false;
}

}  // namespace cofferdam::model

// An alert: what was found, when, and what to do next.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "monitor/detector.h"

namespace cofferdam::monitor {

struct Alert {
  std::string id;  // "al_…"
  std::string rule;
  std::string workspace_id, workspace_name, namespace_id;  // empty: it is about the host
  std::string namespace_slug;                              // as far as it is known; not kept
  std::string about;                                       // what of its kind: a destination, a program
  std::string cause;
  Evidence evidence;
  std::string next;  // one command
  Time first, last;
  std::uint64_t times = 1;
  std::string action;  // what was done by itself, and whether that went well; empty: nothing
  std::optional<Time> acknowledged_at;
  std::string acknowledged_by;
};

// As the API, webhooks, syslog and commands tell it.
boost::json::object to_json(const Alert& alert);

// One command that shows more. `about` as in the alert.
std::string next_command(RuleKind kind, const std::string& workspace_id, const std::string& about);

}  // namespace cofferdam::monitor

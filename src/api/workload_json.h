// JSON forms of workloads.
#pragma once
#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "workspace/workloads.h"

namespace cofferdam::api {

// InvalidArgument when the object's "target" is not the one there is.
Status check_target(const boost::json::object& object, std::string_view path);

struct NamedWorkload {
  std::string id;  // empty: made up; never so in what a create asks for
  workspace::WorkloadSpec spec;
};

// {cmd | command, name?, env?, working_dir?, user?, restart_policy?, …, id?}; validated. Wrong types are named with
// `path`.
Result<NamedWorkload> workload_from_json(const boost::json::object& object, std::string_view path);
// What a create asks to be kept running: config.workloads, and config.cmd as one more.
Result<std::vector<NamedWorkload>> workloads_of_create(const boost::json::object& body);
Result<workspace::WorkloadChange> workload_change_from_json(const boost::json::object& object);
boost::json::object to_json(const workspace::Workload& workload);
boost::json::object to_json(const workspace::WorkloadStats& stats);
boost::json::object to_json(const workspace::WorkloadLine& line);

}  // namespace cofferdam::api

// What a create asks for beside the workspace's own specification.
#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "api/network_json.h"
#include "api/services.h"
#include "api/workload_json.h"
#include "model/ready_check.h"
#include "model/workspace_spec.h"

namespace cofferdam::api {

struct CreateWish {
  model::WorkspaceSpec spec;
  std::string idempotency_key, space;
  std::vector<NamedWorkload> workloads;
  std::optional<model::ReadyCheck> ready_check;
  NetworkChange network;
  boost::json::array warnings;
};

// InvalidArgument names the field, also of what this host has not: nothing that is asked for is silently left out.
// Fields that are not known are ignored.
Result<CreateWish> read_create_wish(const boost::json::object& body);

}  // namespace cofferdam::api

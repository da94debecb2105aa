// Credits: hours of promised vCPUs. What namespaces may use of them.
#pragma once
#include <boost/json/object.hpp>
#include <string>

#include "api/services.h"

namespace cofferdam::api {

boost::json::object to_json(const monitor::Quota& quota);
boost::json::array quotas_to_json(const Services& services, const std::string& namespace_id);

}  // namespace cofferdam::api

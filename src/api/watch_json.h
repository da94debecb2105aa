// JSON forms of what the watch has seen.
#pragma once
#include <boost/json/object.hpp>

#include "monitor/watch.h"

namespace cofferdam::api {

// What was measured outside the guest, at the last look; rates are of the second before it. Empty without one.
boost::json::object figures_to_json(const monitor::Sight& sight);
boost::json::object to_json(const monitor::Sample& sample);
boost::json::object to_json(const monitor::Rollup& rollup);
boost::json::object to_json(const monitor::Destination& destination);

}  // namespace cofferdam::api

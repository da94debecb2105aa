// JSON forms of what the watch has seen.
#pragma once
#include <boost/json/object.hpp>

#include "monitor/watch.h"

namespace cofferdam::monitor {

// What was measured outside the guest, at the last look; rates are of the second before it. Empty without one.
boost::json::object figures_to_json(const Sight& sight);
boost::json::object to_json(const Sample& sample);
boost::json::object to_json(const Rollup& rollup);
boost::json::object to_json(const Destination& destination);

}  // namespace cofferdam::monitor

// A record of a connection as JSON.
#pragma once
#include <boost/json/object.hpp>

#include "net/flow_log.h"

namespace cofferdam::net {

boost::json::object to_json(const Flow& flow);

}  // namespace cofferdam::net

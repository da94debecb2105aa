// JSON forms of namespaces.
#pragma once
#include <boost/json/object.hpp>

#include "api/call.h"
#include "api/services.h"

namespace cofferdam::api {

boost::json::object namespace_to_json(const Services& services, const identity::Namespace& space);
// {data, pagination}: those that the query asks for and the caller may see.
Task<boost::json::object> namespace_page(Services& services, Call& call);

}  // namespace cofferdam::api

// The API as an OpenAPI 3.1 document, made from the table of routes.
#pragma once
#include <boost/json/object.hpp>
#include <span>
#include <string_view>

#include "api/routes.h"

namespace cofferdam::api {

boost::json::object openapi_document(std::span<const Route> routes, std::string_view version);

}  // namespace cofferdam::api
